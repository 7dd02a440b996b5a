use super::*;

const GRANT: GrantId = GrantId(1);

struct Site {
    door: Door,
    now: Monotonic,
}

impl Site {
    fn new() -> Self {
        Self { door: Door::new(DoorConfig::default()), now: Monotonic(1_000_000) }
    }

    fn closed() -> Self {
        let mut site = Self::new();
        assert_eq!(site.on(Event::ContactClosed), [state(State::Closed)]);
        site
    }

    fn on(&mut self, event: Event) -> Vec<Command> {
        self.door.handle(event, self.now)
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }

    fn at_deadline(&mut self) -> Vec<Command> {
        self.now = self.door.next_deadline().expect("a deadline");
        self.on(Event::Tick)
    }
}

fn report(report: Report) -> Command {
    Command::Report(report)
}

fn state(state: State) -> Command {
    report(Report::State(state))
}

#[test]
fn a_resident_enters() {
    let mut site = Site::closed();
    assert_eq!(
        site.on(Event::OpenGranted { grant: GRANT }),
        [report(Report::Accepted { grant: GRANT }), Command::Release, state(State::Opening)]
    );
    site.wait(1_200);
    assert_eq!(
        site.on(Event::ContactOpened),
        [report(Report::Confirmed { grant: GRANT }), Command::Lock, state(State::Open)]
    );
    site.wait(4_000);
    assert_eq!(site.on(Event::ContactClosed), [state(State::Closed)]);
    assert_eq!(site.door.next_deadline(), None);
}

#[test]
fn nobody_opens_the_door() {
    let mut site = Site::closed();
    site.on(Event::OpenGranted { grant: GRANT });
    assert_eq!(site.door.next_deadline(), Some(site.now.plus_ms(5_000)));
    assert_eq!(
        site.at_deadline(),
        [Command::Lock, report(Report::NotConfirmed { grant: GRANT, why: NotDone::NoEntry }), state(State::Closed)]
    );
}

#[test]
fn a_second_opening_lengthens_the_release() {
    let mut site = Site::closed();
    site.on(Event::OpenGranted { grant: GRANT });
    site.wait(4_000);
    site.on(Event::OpenGranted { grant: GrantId(2) });
    assert_eq!(site.door.next_deadline(), Some(site.now.plus_ms(5_000)));
    let said = site.on(Event::ContactOpened);
    assert!(said.contains(&report(Report::Confirmed { grant: GRANT })));
    assert!(said.contains(&report(Report::Confirmed { grant: GrantId(2) })));
}

#[test]
fn a_door_opened_without_a_release_is_forced() {
    let mut site = Site::closed();
    assert_eq!(site.on(Event::ContactOpened), [report(Report::Alarm(Alarm::Forced)), state(State::Forced)]);
    assert_eq!(site.on(Event::ContactClosed), [report(Report::AlarmCleared(Alarm::Forced)), state(State::Closed)]);
}

#[test]
fn the_exit_button_releases_and_its_door_is_not_forced() {
    let mut site = Site::closed();
    assert_eq!(site.on(Event::ExitPressed), [Command::Release, state(State::Opening)]);
    assert_eq!(site.on(Event::ContactOpened), [Command::Lock, state(State::Open)]);
}

#[test]
fn the_exit_button_releases_in_every_state() {
    let ways: [&[Event]; 7] = [
        &[],
        &[Event::ContactClosed],
        &[Event::ContactClosed, Event::ContactOpened],
        &[Event::OpenGranted { grant: GRANT }],
        &[Event::Hold { grant: GRANT }],
        &[Event::BoardLost],
        &[Event::BoardLost, Event::BoardRestored],
    ];
    for way in ways {
        let mut site = Site::new();
        for event in way {
            site.on(*event);
        }
        assert!(site.on(Event::ExitPressed).contains(&Command::Release), "after {way:?}");
    }
}

#[test]
fn a_leaf_that_moves_as_the_lock_falls_is_not_forced() {
    let mut site = Site::closed();
    site.on(Event::OpenGranted { grant: GRANT });
    site.at_deadline();
    site.wait(RELOCK_GRACE_MS);
    assert_eq!(site.on(Event::ContactOpened), [state(State::Open)]);
    site.on(Event::ContactClosed);
    site.wait(1);
    assert_eq!(site.on(Event::ContactOpened)[0], report(Report::Alarm(Alarm::Forced)));
}

#[test]
fn a_door_left_open_raises_the_alarm_once() {
    let mut site = Site::closed();
    site.on(Event::ExitPressed);
    site.on(Event::ContactOpened);
    site.wait(29_999);
    assert_eq!(site.on(Event::Tick), []);
    site.wait(1);
    assert_eq!(site.on(Event::Tick), [report(Report::Alarm(Alarm::OpenTooLong))]);
    assert_eq!(site.door.next_deadline(), None);
    assert_eq!(site.on(Event::ContactClosed), [report(Report::AlarmCleared(Alarm::OpenTooLong)), state(State::Closed)]);
}

#[test]
fn held_by_order_stays_released_and_raises_no_alarm() {
    let mut site = Site::closed();
    site.on(Event::Hold { grant: GRANT });
    assert_eq!(site.door.state(), State::Held);
    site.at_deadline();
    assert!(site.door.is_released(), "the hold outlasts release_ms");
    assert_eq!(site.on(Event::ContactOpened), [report(Report::Confirmed { grant: GRANT })]);
    site.wait(3_600_000);
    assert_eq!(site.on(Event::Tick), []);
    assert_eq!(site.on(Event::Close), [Command::Lock, state(State::Open)]);
    assert_eq!(site.door.next_deadline(), Some(site.now.plus_ms(30_000)), "and the time open begins to count");
}

#[test]
fn power_lost_while_the_lock_is_released() {
    let mut site = Site::closed();
    site.on(Event::OpenGranted { grant: GRANT });
    assert_eq!(
        site.on(Event::BoardLost),
        [
            report(Report::NotConfirmed { grant: GRANT, why: NotDone::BoardLost }),
            Command::Lock,
            report(Report::Fault(Fault::BoardLost)),
            state(State::Fault)
        ]
    );
    let refused = Report::Refused { grant: GrantId(2), why: NotDone::BoardLost };
    assert_eq!(site.on(Event::OpenGranted { grant: GrantId(2) }), [report(refused)]);
    assert_eq!(
        site.on(Event::BoardRestored),
        [report(Report::FaultCleared(Fault::BoardLost)), Command::Lock, state(State::Unknown)]
    );
    assert_eq!(site.on(Event::ContactClosed), [state(State::Closed)]);
    assert_eq!(site.door.next_deadline(), None, "and no release is made up for");
}

#[test]
fn a_door_found_open_after_a_start_is_reported_not_called_forced() {
    let mut site = Site::new();
    let said = site.on(Event::ContactOpened);
    assert_eq!(said, [report(Report::Alarm(Alarm::StandingOpen)), state(State::Open)]);
}

#[test]
fn a_release_that_was_not_delivered_is_answered() {
    let mut site = Site::closed();
    site.on(Event::OpenGranted { grant: GRANT });
    let failed = Report::NotConfirmed { grant: GRANT, why: NotDone::ActuationFailed };
    assert_eq!(site.on(Event::ActuationFailed), [report(failed)]);
    assert_eq!(site.at_deadline(), [Command::Lock, state(State::Closed)]);
}

#[test]
fn without_a_contact_nothing_is_confirmed() {
    let mut door = Door::new(DoorConfig { contact_fitted: false, ..DoorConfig::default() });
    assert_eq!(door.state(), State::Closed);
    door.handle(Event::OpenGranted { grant: GRANT }, Monotonic(0));
    let said = door.handle(Event::Tick, Monotonic(5_000));
    assert!(said.contains(&report(Report::NotConfirmed { grant: GRANT, why: NotDone::NoSensor })));
    assert_eq!(door.handle(Event::ContactOpened, Monotonic(9_000)), [], "an input that is not there");
}

#[test]
fn current_follows_the_kind_of_lock() {
    assert!(LockKind::FailSafe.energised(true) && !LockKind::FailSafe.energised(false));
    assert!(!LockKind::FailSecure.energised(true) && LockKind::FailSecure.energised(false));
}
