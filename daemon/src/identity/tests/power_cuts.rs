//! The power goes at each operation on a file in turn: what is left can be used, or be gone on with.

use std::sync::atomic::Ordering;

use super::super::claim::claim;
use super::super::files::power;
use super::super::{Identity, StateDir, renew};
use super::{Cloudlet, NOW, state};
use crate::sync::network::Internet;

/// More than any of it takes.
const ENOUGH: u32 = 100;

/// The pair that the next connection is made with, and the one after it if that fails: both whole.
fn usable(state: &StateDir) -> [Identity; 2] {
    [true, false].map(|candidate| {
        let identity = Identity::load(state, candidate).unwrap().unwrap();
        // TLS compares key and certificate.
        identity.tls().unwrap();
        identity
    })
}

#[tokio::test]
async fn a_power_cut_during_a_renewal_leaves_a_usable_identity() {
    let cloud = Cloudlet::start().await;
    for operations in 0..ENOUGH {
        let (_dir, state) = state();
        cloud.switches.code_spent.store(false, Ordering::SeqCst);
        let old = claim(&state, &cloud.claim(), NOW).await.unwrap();
        power::lasts(Some(operations));
        let renewed = renew::renew(&state, &old, &Internet).await;
        let promoted = renewed.is_ok().then(|| renew::promote(&state));
        let gone = power::is_gone();
        power::lasts(None);
        let [next, fallback] = usable(&state);
        if promoted.is_none() {
            assert_eq!(
                fallback.credential.chain(),
                old.credential.chain(),
                "the old pair stays until the new one has proved itself"
            );
        }
        // Life goes on with whatever is there.
        renew::renew(&state, &next, &Internet).await.unwrap();
        renew::promote(&state).unwrap();
        assert_ne!(usable(&state)[1].credential.chain(), next.credential.chain());
        if !gone {
            assert!(operations >= 5, "{operations} operations are fewer than there are");
            return;
        }
    }
    panic!("it never comes to its end");
}

#[tokio::test]
async fn a_power_cut_during_a_claim_leaves_one_that_can_be_gone_on_with() {
    let cloud = Cloudlet::start().await;
    let mut spent_in_vain = 0;
    for operations in 0..ENOUGH {
        let (_dir, state) = state();
        cloud.switches.code_spent.store(false, Ordering::SeqCst);
        power::lasts(Some(operations));
        let claimed = claim(&state, &cloud.claim(), NOW).await;
        power::lasts(None);
        if claimed.is_ok() {
            usable(&state);
            assert!(spent_in_vain < operations, "with a certificate in place the code is not needed again");
            return;
        }
        // What is there is nothing, or whole: an error here would be for a person to mend.
        if Identity::load(&state, true).unwrap().is_none() && claim(&state, &cloud.claim(), NOW).await.is_err() {
            spent_in_vain += 1;
            cloud.switches.code_spent.store(false, Ordering::SeqCst);
            claim(&state, &cloud.claim(), NOW).await.unwrap();
        }
        usable(&state);
    }
    panic!("it never comes to its end");
}
