//! Cards: a read becomes evidence, once, and trying numbers is noticed.
//!
//! A read is judged when it comes and never again: it is not kept while a board is lost or the controller starts, and what is
//! too old by then is refused like any evidence. The number itself goes no further than this file; everything behind it knows
//! the card by the hash under which it is registered.

use cardea_access::card::CardNumber;
use cardea_access::credential::Evidence;
use cardea_access::reason::Reason;
use cardea_access::time::Monotonic;
use cardea_hardware::{Read, Reads};
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
    /// Its configured name.
    pub(crate) name: String,
    pub(crate) reads: watch::Receiver<Reads>,
    patience: Patience,
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
    /// The reader called `name`; what it has read so far is nobody's business.
    pub(crate) fn new(name: String, reads: watch::Receiver<Reads>) -> Self {
        let sequence = reads.borrow().sequence;
        Self { name, reads, patience: Patience { sequence, ..Patience::default() } }
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
    /// The reader of an access point has read something.
    pub(super) async fn on_card(&mut self, i: usize) {
        let now = self.clock.monotonic();
        let Some(reader) = self.points[i].reader.as_mut() else { return };
        let Some(read) = reader.take() else { return };
        let Ok(number) = CardNumber::parse(read.number.expose()) else {
            tracing::error!(reader = %reader.name, "a reader told a card in a form that does not exist");
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
        if decision.is_allowed() {
            self.open(Grant::new(i, None, event, None, decision.passage)).await;
            return;
        }
        self.record(i, event);
        let Some(reader) = self.points[i].reader.as_mut() else { return };
        if decision.reason == Reason::CardUnknown && reader.patience.tried(now) {
            tracing::warn!(reader = %reader.name, "many unknown cards; the reader is not listened to for a while");
            self.tell(i, EventKind::Alarm { alarm: "cards-tried".to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
