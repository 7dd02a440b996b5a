//! Where a webhook may lead. Whoever registers one chooses whom the cloud connects to, so without a guard it would be a
//! way into the networks the cloud is in (server-side request forgery).
//!
//! An address is judged, never a name: each name is resolved for each delivery, every address it has is judged, and the
//! connection goes to one of those very addresses. A name that changes its mind between two questions (DNS rebinding) gains
//! nothing by it. Which addresses are of the public Internet is in IANA's special-purpose registries (RFC 6890).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::IpNet;
use url::{Host, Url};

/// Longest URL, bytes.
const MAX_URL: usize = 2_000;

/// Networks of IPv4 that are not of the public Internet.
const NOT_GLOBAL_V4: [&str; 16] = [
    "0.0.0.0/8",        // this network
    "10.0.0.0/8",       // private use
    "100.64.0.0/10",    // shared address space of carriers
    "127.0.0.0/8",      // loopback
    "168.63.129.16/32", // a public number, but answered by the host of Azure's machines
    "169.254.0.0/16",   // link-local, with the metadata of clouds
    "172.16.0.0/12",    // private use
    "192.0.0.0/24",     // IETF protocol assignments
    "192.0.2.0/24",     // documentation
    "192.88.99.0/24",   // 6to4 relays
    "192.168.0.0/16",   // private use
    "198.18.0.0/15",    // benchmarking
    "198.51.100.0/24",  // documentation
    "203.0.113.0/24",   // documentation
    "224.0.0.0/4",      // multicast
    "240.0.0.0/4",      // reserved, broadcast
];

/// What of IPv6 is handed out for the public Internet at all; the rest is loopback, unique-local, link-local, multicast and such.
const GLOBAL_V6: &str = "2000::/3";
/// Networks in it that are not.
const NOT_GLOBAL_V6: [&str; 3] = [
    "2001::/23",     // IETF protocol assignments: Teredo, benchmarking, ORCHID
    "2001:db8::/32", // documentation
    "3fff::/20",     // documentation
];
/// Networks of IPv6 whose addresses are ways to one of IPv4: that one counts. Mapped, translated (NAT64), 6to4; each with
/// the bit it begins at.
const EMBEDDING: [(&str, u32); 3] = [("::ffff:0:0/96", 96), ("64:ff9b::/96", 96), ("2002::/16", 16)];

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

static REFUSED_V4: LazyLock<Vec<IpNet>> = LazyLock::new(|| nets(&NOT_GLOBAL_V4));
static GIVEN_V6: LazyLock<Vec<IpNet>> = LazyLock::new(|| nets(&[GLOBAL_V6]));
static REFUSED_V6: LazyLock<Vec<IpNet>> = LazyLock::new(|| nets(&NOT_GLOBAL_V6));
static WAYS_TO_V4: LazyLock<Vec<(IpNet, u32)>> =
    LazyLock::new(|| EMBEDDING.iter().filter_map(|(net, bit)| Some((net.parse().ok()?, *bit))).collect());

fn holds(nets: &[IpNet], address: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&address))
}

/// The address of IPv4 that one of IPv6 leads to.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let (_, begin) = WAYS_TO_V4.iter().find(|(net, _)| net.contains(&IpAddr::V6(address)))?;
    let bits = u128::from(address) >> (128 - begin - 32);
    Some(Ipv4Addr::from((bits & u128::from(u32::MAX)) as u32))
}

/// Whether an address is of the public Internet.
pub fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => !holds(&REFUSED_V4, address),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => is_global(IpAddr::V4(v4)),
            None => holds(&GIVEN_V6, address) && !holds(&REFUSED_V6, address),
        },
    }
}

/// An address that no webhook may lead to. It is not named: the name of a host inside may have led there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the receiver has an address that is not of the public Internet, and the configuration does not allow it")]
pub struct AddressRefused;

/// Why a URL is none for a webhook. For the person who gave it; it is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefused {
    /// Not one at all, or too long.
    #[error("url is an absolute URL of at most 2000 characters")]
    Malformed,
    /// In clear text.
    #[error("url begins with https://")]
    NotHttps,
    /// With a login or a fragment.
    #[error("url has no user, no password and no fragment: the signature proves who asks")]
    Parts,
    /// It names an address.
    #[error("url names an address that is not of the public Internet: the operator can allow it in the configuration")]
    Address,
}

/// Judges where webhooks lead.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    names: BTreeSet<String>,
    nets: Vec<IpNet>,
}

/// A name as it is compared.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

impl Guard {
    /// One that allows what the configuration names beside the public Internet. Answers the entry that is neither a host nor
    /// a network.
    pub fn new(allow: &[String]) -> Result<Self, String> {
        let mut guard = Self::default();
        for entry in allow {
            if let Ok(net) = entry.parse::<IpNet>() {
                guard.nets.push(net);
            } else if let Ok(address) = entry.parse::<IpAddr>() {
                guard.nets.push(address.into());
            } else if let Ok(Host::Domain(name)) = Host::parse(entry) {
                guard.names.insert(plain(&name));
            } else {
                return Err(entry.clone());
            }
        }
        Ok(guard)
    }

    /// Judges an address that a host has.
    pub fn judge(&self, host: &str, address: IpAddr) -> Result<(), AddressRefused> {
        let good = is_global(address) || holds(&self.nets, address.to_canonical()) || self.names.contains(&plain(host));
        if good { Ok(()) } else { Err(AddressRefused) }
    }

    /// Judges all addresses of a host: one that is refused refuses them all, since a name that leads both outside and inside
    /// is a mistake or an attack.
    pub fn judge_all(&self, host: &str, addresses: &[IpAddr]) -> Result<(), AddressRefused> {
        addresses.iter().try_for_each(|address| self.judge(host, *address))
    }

    /// Judges a URL by itself, without asking for the addresses of a name.
    pub fn judge_url(&self, url: &str) -> Result<Url, UrlRefused> {
        if url.len() > MAX_URL || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(UrlRefused::Malformed);
        }
        let url = Url::parse(url).map_err(|_| UrlRefused::Malformed)?;
        if url.scheme() != "https" {
            return Err(UrlRefused::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(UrlRefused::Parts);
        }
        let own = |name: &str| {
            let name = plain(name);
            let own = name == "localhost" || name.ends_with(".localhost");
            own && !self.names.contains(&name)
        };
        match url.host() {
            None => Err(UrlRefused::Malformed),
            Some(_) if url.port() == Some(0) => Err(UrlRefused::Malformed),
            Some(Host::Domain(name)) if own(name) => Err(UrlRefused::Address),
            Some(Host::Domain(_)) => Ok(url),
            Some(Host::Ipv4(address)) => self.literal(address.into(), url),
            Some(Host::Ipv6(address)) => self.literal(address.into(), url),
        }
    }

    fn literal(&self, address: IpAddr, url: Url) -> Result<Url, UrlRefused> {
        self.judge("", address).map(|()| url).map_err(|AddressRefused| UrlRefused::Address)
    }
}

#[cfg(test)]
mod tests;
