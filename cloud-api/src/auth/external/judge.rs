//! Is this token of another issuer good here, for what, and whose? Pure.

use cardea_access::time::Timestamp;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use crate::auth::roles::Role;
use crate::config::{ExternalIssuer, MAX_TOKEN_LIFETIME_S};

/// How far its clock may be from ours.
const CLOCK_SKEW_S: f64 = 60.0;
/// Signatures with a key pair; a shared secret cannot be published in a JWKS.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The id of the key that a token asks for, if its header is one of an access token.
pub(in crate::auth) fn header<'a>(settings: &ExternalIssuer, header: &'a Header) -> Result<&'a str, &'static str> {
    if !ALGORITHMS.contains(&header.alg) {
        return Err("its signature is of a kind that is not taken");
    }
    // RFC 9068 §4; without it, an ID token for an audience of the same name would pass.
    let typ = header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    if typ != "at+jwt" && !(settings.accept_plain_jwt && typ == "jwt") {
        return Err("it is not an access token");
    }
    header.kid.as_deref().ok_or("it names no key")
}

/// The role and the `sub` of a token that is genuine, current, for this API, and bound to the certificate with `thumbprint`.
pub(in crate::auth) fn token(
    settings: &ExternalIssuer,
    key: &Jwk,
    header: &Header,
    token: &str,
    now: Timestamp,
    thumbprint: &str,
) -> Result<(Role, String), &'static str> {
    if key.common.public_key_use == Some(PublicKeyUse::Encryption) {
        return Err("no key of its issuer has signed it");
    }
    if key.common.key_algorithm.is_some_and(|own| own.to_string() != format!("{:?}", header.alg)) {
        return Err("its signature is of a kind that is not taken");
    }
    let decoding = DecodingKey::from_jwk(key).map_err(|_| "no key of its issuer has signed it")?;
    let mut validation = Validation::new(header.alg);
    // Time is checked below, against the caller's clock; audience and issuer with the rest.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let decoded = jsonwebtoken::decode::<Value>(token, &decoding, &validation);
    let claims = decoded.map_err(|_| "no key of its issuer has signed it")?.claims;
    claims_are_good(settings, &claims, now)?;
    bound(settings, &claims, thumbprint)?;
    let sub = claims["sub"].as_str().filter(|sub| !sub.is_empty()).ok_or("it says nothing of whose it is")?;
    Ok((role(settings, &claims)?, sub.to_owned()))
}

fn claims_are_good(settings: &ExternalIssuer, claims: &Value, now: Timestamp) -> Result<(), &'static str> {
    let named = |audience: &Value| audience.as_str() == Some(settings.audience.as_str());
    let for_us = match &claims["aud"] {
        Value::Array(several) => several.iter().any(named),
        one => named(one),
    };
    if claims["iss"].as_str() != Some(settings.issuer.as_str()) || !for_us {
        return Err("it was issued by, or for, another service");
    }
    let now = now.0.div_euclid(1_000) as f64;
    let (Some(iat), Some(exp)) = (claims["iat"].as_f64(), claims["exp"].as_f64()) else {
        return Err("it does not say since when and until when it is good");
    };
    if exp <= now {
        return Err("it has expired");
    }
    // Requirement S2 holds for every token that opens something here, whoever has issued it.
    if exp - iat > f64::from(MAX_TOKEN_LIFETIME_S) {
        return Err("it is good for longer than an hour");
    }
    let future = |at: f64| at > now + CLOCK_SKEW_S;
    let not_before = match &claims["nbf"] {
        Value::Null => false,
        nbf => nbf.as_f64().is_none_or(future),
    };
    if future(iat) || not_before { Err("it is dated in the future") } else { Ok(()) }
}

/// RFC 8705 §3. A token that is bound to nothing works for whoever has copied it; the configuration says whether that is taken.
fn bound(settings: &ExternalIssuer, claims: &Value, thumbprint: &str) -> Result<(), &'static str> {
    let cnf = &claims["cnf"];
    match cnf["x5t#S256"].as_str() {
        Some(bound) if bool::from(bound.as_bytes().ct_eq(thumbprint.as_bytes())) => Ok(()),
        Some(_) => Err("it is bound to another client certificate"),
        None if cnf.is_null() && settings.accept_unbound => Ok(()),
        None if cnf.is_null() => Err("it is bound to no client certificate"),
        None => Err("it is bound to something other than a client certificate"),
    }
}

/// The one role that the table makes of the claim.
fn role(settings: &ExternalIssuer, claims: &Value) -> Result<Role, &'static str> {
    let claim = claims.pointer(&settings.role_claim).unwrap_or(&Value::Null);
    let names: Vec<&str> = match claim {
        Value::String(names) => names.split(' ').collect(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut roles: Vec<Role> = names.iter().filter_map(|name| settings.roles.get(*name)).copied().collect();
    roles.sort_by_key(|role| role.name());
    roles.dedup();
    match roles.as_slice() {
        [role] => Ok(*role),
        [] => Err("its issuer gives it no role here"),
        _ => Err("its issuer gives it several roles here"),
    }
}

#[cfg(test)]
mod tests;
