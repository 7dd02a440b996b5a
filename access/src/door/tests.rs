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

    fn all<const N: usize>(&mut self, events: [Event; N]) -> Vec<Command> {
        events.into_iter().flat_map(|e| self.on(e)).collect()
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
        [
            Command::Lock,
            report(Report::Incident(Incident::NoEntry)),
            report(Report::NotConfirmed { grant: GRANT, why: NotDone::NoEntry }),
            state(State::Closed)
        ]
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
    assert_eq!(site.on(Event::ActuationFailed { command: Command::Release, may_have_acted: false }), [report(failed)]);
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

#[test]
fn nobody_was_let_in_by_an_exit_press_an_order_to_close_or_a_lost_board() {
    let quiet = |said: Vec<Command>| assert!(!said.contains(&report(Report::Incident(Incident::NoEntry))), "{said:?}");
    let mut site = Site::closed();
    site.on(Event::ExitPressed);
    quiet(site.at_deadline());
    site.on(Event::OpenGranted { grant: GRANT });
    quiet(site.on(Event::Close));
    site.on(Event::OpenGranted { grant: GRANT });
    quiet(site.on(Event::BoardLost));
    let mut door = Door::new(DoorConfig { contact_fitted: false, ..DoorConfig::default() });
    door.handle(Event::OpenGranted { grant: GRANT }, Monotonic(0));
    quiet(door.handle(Event::Tick, Monotonic(5_000)));
}

#[test]
fn a_second_hold_changes_nothing_and_one_close_ends_both() {
    let mut site = Site::closed();
    site.on(Event::Hold { grant: GRANT });
    for n in 2..40 {
        let grant = GrantId(n);
        let said = site.on(Event::Hold { grant });
        let unconfirmed = Report::NotConfirmed { grant, why: NotDone::NoEntry };
        assert_eq!(said, [report(Report::Accepted { grant }), report(unconfirmed)]);
    }
    assert_eq!(site.on(Event::ContactOpened), [report(Report::Confirmed { grant: GRANT })]);
    site.on(Event::ContactClosed);
    assert_eq!(site.on(Event::Close), [Command::Lock, state(State::Closed)]);
    assert_eq!(site.on(Event::ContactOpened), [state(State::Open)], "it was being opened as the hold ended");
}

#[test]
fn a_door_ajar_after_a_hold_raises_the_alarm_for_being_open_too_long() {
    for (begin, end) in
        [(Event::Hold { grant: GRANT }, Event::Close), (Event::Fire(Some(true)), Event::Fire(Some(false)))]
    {
        let mut site = Site::closed();
        site.on(begin);
        site.on(Event::ContactOpened);
        site.wait(3_600_000);
        assert!(site.on(end).contains(&Command::Lock));
        assert_eq!(site.door.next_deadline(), Some(site.now.plus_ms(30_000)));
        assert_eq!(site.at_deadline(), [report(Report::Alarm(Alarm::OpenTooLong))]);
    }
}

#[test]
fn a_fire_releases_and_holds_until_it_is_known_to_be_over() {
    let mut site = Site::closed();
    assert_eq!(
        site.on(Event::Fire(Some(true))),
        [report(Report::Alarm(Alarm::Fire)), Command::Release, state(State::Held)]
    );
    assert_eq!(site.on(Event::ContactOpened), []);
    assert_eq!(site.on(Event::ContactClosed), [], "the alarm goes on when the door falls shut");
    for nothing in [Event::Close, Event::Fire(None), Event::Tick] {
        site.wait(60_000);
        assert!(!site.on(nothing).contains(&Command::Lock), "{nothing:?}");
    }
    assert_eq!(
        site.on(Event::Fire(Some(false))),
        [Command::Lock, report(Report::AlarmCleared(Alarm::Fire)), state(State::Closed)]
    );
    assert_eq!(site.on(Event::Fire(Some(false))), []);
}

#[test]
fn a_fire_that_stands_survives_a_lost_board_and_releases_again_when_it_speaks() {
    let mut site = Site::closed();
    site.on(Event::Fire(Some(true)));
    assert_eq!(site.on(Event::BoardLost), [report(Report::Fault(Fault::BoardLost)), state(State::Fault)]);
    assert!(site.door.is_released());
    let said = site.on(Event::BoardRestored);
    let cleared = report(Report::FaultCleared(Fault::BoardLost));
    assert_eq!(said, [cleared, Command::Release, state(State::Held)], "its board came back locked");
    assert_eq!(site.on(Event::Fire(Some(true))), [Command::Release]);
    assert_eq!(site.on(Event::Fire(Some(false)))[0], Command::Lock);
}

#[test]
fn a_fire_that_was_never_known_to_burn_releases_nothing() {
    let mut site = Site::closed();
    for event in
        [Event::Fire(None), Event::BoardLost, Event::Fire(None), Event::BoardRestored, Event::Fire(Some(false))]
    {
        assert!(!site.on(event).contains(&Command::Release), "{event:?}");
    }
}

#[test]
fn a_fire_releases_while_a_board_is_lost_and_an_exit_press_outlasts_it() {
    let mut site = Site::closed();
    site.on(Event::BoardLost);
    assert!(site.on(Event::Fire(Some(true))).contains(&Command::Release));
    site.on(Event::ExitPressed);
    assert!(!site.on(Event::Fire(Some(false))).contains(&Command::Lock), "someone is on their way out");
    assert!(site.at_deadline().contains(&Command::Lock));
}

fn failed(command: Command) -> Event {
    Event::ActuationFailed { command, may_have_acted: false }
}

#[test]
fn a_release_in_a_fire_that_was_not_delivered_is_given_again_until_it_is() {
    let mut site = Site::closed();
    site.on(Event::Fire(Some(true)));
    for _ in 0..3 {
        let told = site.now;
        assert_eq!(site.on(failed(Command::Release)), []);
        assert_eq!(site.at_deadline(), [Command::Release]);
        assert_eq!(site.now, told.plus_ms(500));
    }
    assert_eq!(site.door.next_deadline(), None, "delivered");
    site.on(failed(Command::Release));
    site.on(Event::Fire(Some(false)));
    assert!(!site.at_deadline().contains(&Command::Release), "the fire is over");
}

#[test]
fn a_lock_that_was_not_delivered_is_given_again_until_it_is_or_someone_is_let_in() {
    let mut site = Site::closed();
    site.on(Event::OpenGranted { grant: GRANT });
    assert!(site.at_deadline().contains(&Command::Lock));
    site.on(failed(Command::Lock));
    assert_eq!(site.at_deadline(), [Command::Lock]);
    site.on(failed(Command::Lock));
    site.on(Event::BoardLost);
    assert_eq!(site.at_deadline(), [Command::Lock], "what is lost may be another board");
    site.on(Event::BoardRestored);
    site.on(failed(Command::Lock));
    site.on(Event::OpenGranted { grant: GRANT });
    assert_eq!(site.at_deadline(), [], "not while someone is let in");
}

#[test]
fn a_lock_whose_board_comes_back_while_another_is_lost_is_told_what_is_meant() {
    let mut site = Site::closed();
    site.on(Event::BoardLost);
    assert_eq!(site.on(Event::RelaysRestored), [Command::Lock], "a magnet's safe state is open");
    site.on(Event::Fire(Some(true)));
    assert_eq!(site.on(Event::RelaysRestored), [Command::Release], "a strike's is shut");
    let mut site = Site::closed();
    site.on(Event::OpenGranted { grant: GRANT });
    assert_eq!(site.on(Event::RelaysRestored), [], "a late release would be for nobody");
}

#[test]
fn a_hold_that_was_not_delivered_is_given_again_and_ends_with_its_board() {
    let mut site = Site::closed();
    site.on(Event::Hold { grant: GRANT });
    let answer = Report::NotConfirmed { grant: GRANT, why: NotDone::ActuationFailed };
    assert_eq!(site.on(failed(Command::Release)), [report(answer)]);
    assert_eq!(site.at_deadline(), [Command::Release]);
    site.on(failed(Command::Release));
    site.on(Event::BoardLost);
    assert!(!site.at_deadline().contains(&Command::Release), "a late opening is nobody's");
    assert_eq!(site.on(Event::EndHold), [], "it ended before");
}

#[test]
fn a_failed_release_for_someone_who_leaves_locks_no_held_door() {
    let mut site = Site::closed();
    site.all([Event::Hold { grant: GRANT }, Event::ExitPressed]);
    assert_eq!(site.on(failed(Command::Release)).iter().filter(|command| **command == Command::Lock).count(), 0);
    assert_eq!(site.door.state(), State::Held);
}

#[test]
fn a_held_door_lets_in_more_people_than_can_wait_for_a_contact() {
    for contact_fitted in [true, false] {
        let mut door = Door::new(DoorConfig { contact_fitted, ..DoorConfig::default() });
        door.handle(Event::Hold { grant: GRANT }, Monotonic(0));
        for n in 2..100 {
            let said = door.handle(Event::OpenGranted { grant: GrantId(n) }, Monotonic(n));
            assert_eq!(said[0], report(Report::Accepted { grant: GrantId(n) }));
        }
    }
}

#[test]
fn openings_of_a_fire_are_answered_before_it_is_said_to_be_over() {
    let mut site = Site::closed();
    site.on(Event::OpenGranted { grant: GRANT });
    site.on(Event::Fire(Some(true)));
    site.wait(5_000);
    site.on(Event::Tick);
    let said = site.on(Event::Fire(Some(false)));
    let of = |wanted: &Command| said.iter().position(|command| command == wanted);
    let answer = report(Report::NotConfirmed { grant: GRANT, why: NotDone::NoEntry });
    assert!(of(&answer).unwrap() < of(&report(Report::AlarmCleared(Alarm::Fire))).unwrap(), "{said:?}");
}
