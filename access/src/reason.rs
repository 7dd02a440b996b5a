//! Why a decision fell as it did: stable codes for machines, one sentence for people.
//!
//! Codes are part of the API: events, exports and customers' programs carry them, so a code is never renamed nor given
//! another meaning. The ONVIF Access Control service knows a short list of reasons to deny (`CredentialNotEnabled`,
//! `NotPermittedAtThisTime`, …, `Other`); these are finer, because an operator acts on them.

macro_rules! reasons {
    ($($effect:ident { $($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)* })*) => {
        /// The reason of a decision.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $text] $(#[$doc])* $name,)*)*
        }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &[Self] = &[$($(Self::$name,)*)*];

            /// The stable code, kebab-case.
            pub const fn code(self) -> &'static str {
                match self { $($(Self::$name => $code,)*)* }
            }

            /// One sentence for people, free of personal data.
            pub const fn explanation(self) -> &'static str {
                match self { $($(Self::$name => $text,)*)* }
            }

            /// Whether this is a reason to admit.
            pub const fn admits(self) -> bool {
                match self { $($(Self::$name => reasons!(@admits $effect),)*)* }
            }
        }
    };
    (@admits admit) => { true };
    (@admits refuse) => { false };
}

reasons! {
    admit {
        PlateAdmitted = "plate-admitted", "The plate is registered here and was read with certainty.";
        FaceAdmitted = "face-admitted", "The face matches a resident who agreed to be recognised.";
        CardAdmitted = "card-admitted", "The card is registered here.";
        ExitButton = "exit-button", "Someone inside pressed the exit button.";
        ExitFree = "exit-free", "Leaving is always possible.";
        RemoteOpen = "remote-open", "Opened on demand from outside, by someone who may.";
    }
    refuse {
        AccessPointUnknown = "access-point-unknown", "The request names a gate or door this controller does not have.";
        MethodNotAccepted = "method-not-accepted", "This gate or door does not open for this kind of credential.";
        EquipmentFault = "equipment-fault", "The equipment of this gate or door does not answer, so nothing was done.";
        LockedDown = "locked-down", "The gate or door is locked down; people can leave but not enter.";
        OutsideHours = "outside-hours", "This gate or door does not open for this kind of credential at this hour.";
        EvidenceTooOld = "evidence-too-old", "The decision came too late after the person was seen.";

        PlateUnknown = "plate-unknown", "The plate is not registered here.";
        PlateUncertain = "plate-uncertain", "The plate looks like a registered one but was not read with certainty.";
        PlateTooFewFrames = "plate-too-few-frames", "The plate was seen in too few pictures to be sure.";
        PlateOutsideZone = "plate-outside-zone", "The plate is outside the area in front of the gate.";
        PlatePictureDiffers = "plate-picture-differs", "The camera named a plate that its picture does not show.";
        PlateTextOnly = "plate-text-only", "The camera named a plate without a picture that could be checked.";
        PlateStale = "plate-stale", "The list of plates is older than this site allows while the network is away.";
        PlateBlocked = "plate-blocked", "The plate has been blocked.";
        LoopClear = "loop-clear", "No vehicle stands on the loop in front of the barrier.";

        FaceUnknown = "face-unknown", "The face matches nobody registered here.";
        FaceBelowThreshold = "face-below-threshold", "The face resembles a resident too little to be sure.";
        FaceAmbiguous = "face-ambiguous", "The face resembles two residents too much alike to tell them apart.";
        FaceTooFewFrames = "face-too-few-frames", "The face was seen in too few pictures to be sure.";
        FaceOutsideZone = "face-outside-zone", "The face is outside the area in front of the door.";
        FaceSpoof = "face-spoof", "The face looks like a picture or a screen, not a person.";
        FaceLivenessUnknown = "face-liveness-unknown", "It could not be made sure that the face is a living person's.";
        FaceModelDemo = "face-model-demo", "The face models here are a demonstration, and this site does not let them open.";
        FaceStale = "face-stale", "No recent word that biometric data are still valid, so faces do not open.";
        FaceErased = "face-erased", "The biometric data behind this match have been erased.";

        CardUnknown = "card-unknown", "The card is not registered here.";
        CardStale = "card-stale", "The list of cards is older than this site allows while the network is away.";
        CardBlocked = "card-blocked", "The card has been blocked.";

        PassbackInside = "passback-inside", "This person or vehicle is inside already, and has to leave before coming in again.";
        PassbackTooSoon = "passback-too-soon", "This person or vehicle came in too short a time ago to come in again.";

        SecondFactorAwaited = "second-factor-awaited", "The first credential is in order, and a second one is awaited.";
        SecondFactorLate = "second-factor-late", "The second credential came too late after the first one.";
        SecondFactorOtherSubject = "second-factor-other-subject", "The two credentials belong to different people.";
        FirstFactorMissing = "first-factor-missing", "This gate or door asks for another credential before this one.";

        SubjectBlocked = "subject-blocked", "Access of this person has been blocked.";
        NotYetValid = "not-yet-valid", "The permission has not begun.";
        Expired = "expired", "The permission has ended.";
        OutsideSchedule = "outside-schedule", "The permission does not cover this hour of the week.";
        OtherAccessPoint = "other-access-point", "The permission is for another gate or door.";

        CommandExpired = "command-expired", "The command arrived after it had expired.";
        CommandExpiryTooFar = "command-expiry-too-far", "The command claims to be valid for longer than a command may be.";
        CommandReplayed = "command-replayed", "The command has been carried out before; it does nothing twice.";
        CommandOtherBoot = "command-other-boot", "The command was meant for the controller before its last start.";
    }
}

impl Reason {
    /// The reason with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| r.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_kebab_case_and_round_trip() {
        let mut seen = BTreeSet::new();
        for reason in Reason::ALL {
            let code = reason.code();
            assert!(seen.insert(code), "{code} twice");
            assert!(code.bytes().all(|c| c.is_ascii_lowercase() || c == b'-'), "{code}");
            assert_eq!(Reason::from_code(code), Some(*reason));
        }
        assert_eq!(Reason::from_code("open-sesame"), None);
    }

    #[test]
    fn every_reason_is_one_sentence() {
        for reason in Reason::ALL {
            let text = reason.explanation();
            assert!(text.ends_with('.') && !text.contains(". "), "{text}");
        }
    }
}
