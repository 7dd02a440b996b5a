//! OAuth scopes (RFC 6749 §3.3). There are two kinds here: an account's role, which every token of it carries, and `openid`.

use crate::auth::roles::Role;

/// Asks for an ID token (OpenID Connect Core 1.0 §3.1.2.1).
pub(crate) const OPENID: &str = "openid";

/// Why a scope is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScopeRefused;

/// What a client has asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AskedScope {
    /// Whether it wants an ID token.
    pub(crate) openid: bool,
    roles: Vec<Role>,
}

impl AskedScope {
    /// Reads the parameter: names of printable characters, one space between them. A name that is neither a role nor
    /// `openid` is refused, but ignored beside `openid`, since OpenID clients ask for `profile` and the like as they please.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, ScopeRefused> {
        let Some(text) = text else { return Ok(Self::default()) };
        let mut asked = Self::default();
        let mut unknown = false;
        for name in text.split(' ') {
            let printable = |b: u8| b == 0x21 || (0x23..=0x5b).contains(&b) || (0x5d..=0x7e).contains(&b);
            if name.is_empty() || !name.bytes().all(printable) {
                return Err(ScopeRefused);
            }
            match Role::from_name(name) {
                Some(role) => asked.roles.push(role),
                None if name == OPENID => asked.openid = true,
                None => unknown = true,
            }
        }
        if unknown && !asked.openid { Err(ScopeRefused) } else { Ok(asked) }
    }

    /// What an account of that role gets: never another role.
    pub(crate) fn granted(&self, role: Role) -> Result<GrantedScope, ScopeRefused> {
        let own = self.roles.iter().all(|asked| *asked == role);
        if own { Ok(GrantedScope { role, openid: self.openid }) } else { Err(ScopeRefused) }
    }
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GrantedScope {
    /// The account's role.
    pub(crate) role: Role,
    /// Whether an ID token comes with it, and the userinfo endpoint answers.
    pub(crate) openid: bool,
}

impl std::fmt::Display for GrantedScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.role.name())?;
        if self.openid { write!(f, " {OPENID}") } else { Ok(()) }
    }
}

/// Whether a token's scope includes `openid`.
pub(crate) fn has_openid(scope: &str) -> bool {
    scope.split(' ').any(|name| name == OPENID)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn granted(text: &str, role: Role) -> Option<String> {
        let asked = AskedScope::parse(Some(text)).ok()?;
        asked.granted(role).ok().map(|scope| scope.to_string())
    }

    #[test]
    fn an_account_gets_its_role_and_openid() {
        assert_eq!(AskedScope::parse(None).unwrap().granted(Role::Auditor).unwrap().to_string(), "auditor");
        for (asked, expected) in [
            ("auditor", Some("auditor")),
            ("openid", Some("auditor openid")),
            ("openid auditor", Some("auditor openid")),
            ("openid profile email", Some("auditor openid")),
            ("operator", None),
            ("openid operator", None),
            ("auditor operator", None),
            ("profile", None),
            ("", None),
            ("openid  auditor", None),
            (" openid", None),
            ("openid\tauditor", None),
            ("openid \"x\"", None),
        ] {
            assert_eq!(granted(asked, Role::Auditor).as_deref(), expected, "{asked:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_no_other_role_is_granted(text in "[a-z \"\\\\-]{0,20}(openid|operator|auditor| )*.{0,10}") {
            if let Some(scope) = granted(&text, Role::Auditor) {
                prop_assert!(scope == "auditor" || scope == "auditor openid");
                prop_assert_eq!(has_openid(&scope), text.split(' ').any(|name| name == "openid"));
                prop_assert!(text.split(' ').all(|name| Role::from_name(name).is_none_or(|role| role == Role::Auditor)));
            }
        }
    }
}
