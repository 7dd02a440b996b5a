//! Cards: a read becomes evidence, once, and trying numbers is noticed. So is an opened reader.
//!
//! A read is judged when it comes and never again: it is not kept while a board is lost or the controller starts, and what is
//! too old by then is refused like any evidence. The number itself goes no further than this file; everything behind it knows
//! the card by the hash under which it is registered.

use std::sync::Arc;

use cardea_access::card::CardNumber;
use cardea_access::credential::Evidence;
use cardea_access::reason::Reason;
use cardea_access::time::Monotonic;
use cardea_hardware::{Answer, Read, Reader, Reads};
use cardea_protocol::event::{EventKind, Timings};
use tokio::sync::watch;
use tokio::time::Instant;

use super::grants::Grant;
use super::knowledge::Knowledge;
use super::record::record;
use super::task::AccessTask;

/// The same card, still lying on the reader, is not judged again within this time.
const SAME_CARD_MS: u64 = 1_500;
/// Unknown cards at one reader within [`TRIES_MS`] after which the reader is not listened to.
const MAX_TRIES: usize = 10;
/// The time within which unknown cards add up.
const TRIES_MS: u64 = 60_000;
/// How long a reader at which numbers were tried is not listened to.
const DEAF_MS: u64 = 60_000;

/// The reader of one access point.
pub(crate) struct CardReader {
    reader: Arc<dyn Reader>,
    pub(crate) reads: watch::Receiver<Reads>,
    pub(crate) tamper: watch::Receiver<Option<bool>>,
    housing: Housing,
    patience: Patience,
}

/// What a reader has last said about its housing. One that is gone says nothing, and nothing is made of that: opened it was
/// until it says otherwise.
#[derive(Debug, Default)]
struct Housing {
    opened: bool,
}

impl Housing {
    /// The name of the alarm, if this is news.
    fn news(&mut self, tampered: Option<bool>) -> Option<&'static str> {
        let tampered = tampered.filter(|tampered| *tampered != self.opened)?;
        self.opened = tampered;
        Some(if tampered { "reader-tampered" } else { "reader-tampered-cleared" })
    }
}

/// What a reader has shown lately. Pure, with time as input.
#[derive(Debug, Default)]
struct Patience {
    /// Reads that were dealt with.
    sequence: u64,
    /// The last card, by its hash, and when it was shown.
    last: Option<(cardea_access::id::CardId, Monotonic)>,
    /// When unknown cards were shown.
    unknown: Vec<Monotonic>,
    deaf_until: Option<Monotonic>,
}

impl Patience {
    /// Whether the card is to be judged.
    fn listens(&mut self, card: &cardea_access::id::CardId, now: Monotonic) -> bool {
        if self.deaf_until.is_some_and(|until| now < until) {
            return false;
        }
        let lying = self.last.as_ref().is_some_and(|(last, at)| last == card && now.since_ms(*at) < SAME_CARD_MS);
        // A card that stays on the reader is told again and again; the time counts from the last telling.
        self.last = Some((card.clone(), now));
        !lying
    }

    /// An unknown card was shown; whether it was one too many.
    fn tried(&mut self, now: Monotonic) -> bool {
        self.unknown.retain(|at| now.since_ms(*at) < TRIES_MS);
        self.unknown.push(now);
        let too_many = self.unknown.len() >= MAX_TRIES;
        if too_many {
            self.unknown.clear();
            self.deaf_until = Some(now.plus_ms(DEAF_MS));
        }
        too_many
    }
}

impl CardReader {
    /// What `reader` has read so far is nobody's business.
    pub(crate) fn new(reader: Arc<dyn Reader>) -> Self {
        let (reads, tamper) = (reader.watch(), reader.tamper());
        let sequence = reads.borrow().sequence;
        let patience = Patience { sequence, ..Patience::default() };
        Self { reader, reads, tamper, housing: Housing::default(), patience }
    }

    /// The newest read, if it was not dealt with.
    fn take(&mut self) -> Option<Read> {
        let reads = self.reads.borrow();
        if reads.sequence == self.patience.sequence {
            return None;
        }
        self.patience.sequence = reads.sequence;
        reads.last.clone()
    }
}

impl AccessTask {
    /// The reader of an access point has read something, or was opened.
    pub(super) async fn on_card(&mut self, i: usize) {
        let now = self.clock.monotonic();
        let Some(reader) = self.points[i].reader.as_mut() else { return };
        let tampered = *reader.tamper.borrow();
        let (news, read) = (reader.housing.news(tampered), reader.take());
        if let Some(alarm) = news {
            tracing::warn!(reader = reader.reader.id(), alarm, "the housing of a reader");
            self.tell(i, EventKind::Alarm { alarm: alarm.to_owned() });
        }
        if let Some(read) = read {
            self.on_read(i, &read, now).await;
        }
    }

    async fn on_read(&mut self, i: usize, read: &Read, now: Monotonic) {
        let Some(reader) = self.points[i].reader.as_mut() else { return };
        let Ok(number) = CardNumber::parse(read.number.expose()) else {
            tracing::error!(reader = reader.reader.id(), "a reader told a card in a form that does not exist");
            return;
        };
        let card = Knowledge::card(&number);
        drop(number);
        if !reader.patience.listens(&card, now) {
            return;
        }
        let begun = Instant::now();
        let at = self.now().ago(read.at.elapsed().as_millis() as u64);
        let evidence = Evidence::Card(card.clone());
        let decision = self.decide(i, &evidence, at);
        let decide_ms = Some(begun.elapsed().as_secs_f32() * 1_000.0);
        let mut event = record(&decision, &evidence, Timings { decide_ms, ..Timings::default() });
        event.card_id = self.knowledge.card_registration(&card);
        if let Some(reader) = &self.points[i].reader {
            reader.reader.answer(shown(decision.reason));
        }
        if decision.is_allowed() {
            self.open(Grant::new(i, None, event, None, decision.passage)).await;
            return;
        }
        self.record(i, event);
        let Some(reader) = self.points[i].reader.as_mut() else { return };
        if decision.reason == Reason::CardUnknown && reader.patience.tried(now) {
            tracing::warn!(
                reader = reader.reader.id(),
                "many unknown cards; the reader is not listened to for a while"
            );
            self.tell(i, EventKind::Alarm { alarm: "cards-tried".to_owned() });
        }
    }
}

/// What whoever holds the card sees of a decision.
fn shown(reason: Reason) -> Answer {
    match reason {
        Reason::SecondFactorAwaited => Answer::Awaited,
        reason if reason.admits() => Answer::Granted,
        _ => Answer::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opened_housing_is_told_once_and_only_its_reader_takes_it_back() {
        let mut housing = Housing::default();
        let said = [None, Some(false), Some(true), Some(true), None, Some(true), None, Some(false), None, Some(false)];
        let told: Vec<_> = said.into_iter().filter_map(|tampered| housing.news(tampered)).collect();
        assert_eq!(told, ["reader-tampered", "reader-tampered-cleared"]);
    }

    #[test]
    fn a_second_factor_that_is_awaited_is_not_shown_as_a_refusal() {
        assert_eq!(shown(Reason::CardAdmitted), Answer::Granted);
        assert_eq!(shown(Reason::SecondFactorAwaited), Answer::Awaited);
        assert_eq!(shown(Reason::CardUnknown), Answer::Refused);
    }

    #[test]
    fn a_card_left_on_the_reader_is_one_presentation() {
        let (card, mut patience) = ("a".into(), Patience::default());
        assert!(patience.listens(&card, Monotonic(0)));
        assert!(!patience.listens(&card, Monotonic(1_000)));
        assert!(!patience.listens(&card, Monotonic(2_000)), "it is still lying there");
        assert!(patience.listens(&"b".into(), Monotonic(2_100)), "another card is another matter");
        assert!(patience.listens(&card, Monotonic(2_200)));
        assert!(patience.listens(&card, Monotonic(4_000)));
    }

    #[test]
    fn trying_numbers_makes_a_reader_deaf_for_a_while() {
        let mut patience = Patience::default();
        for n in 0..MAX_TRIES as u64 - 1 {
            assert!(!patience.tried(Monotonic(n)));
        }
        assert!(patience.tried(Monotonic(100)));
        assert!(!patience.listens(&"good".into(), Monotonic(100 + DEAF_MS - 1)));
        assert!(patience.listens(&"good".into(), Monotonic(100 + DEAF_MS)));
    }

    #[test]
    fn unknown_cards_that_come_slowly_do_not_add_up() {
        let mut patience = Patience::default();
        for n in 0..100 {
            assert!(!patience.tried(Monotonic(n * (TRIES_MS / 5))));
        }
    }
}
