//! The guard over its space of inputs: addresses, the ways to write them, and names.

use proptest::prelude::*;

use super::*;

fn guard(allow: &[&str]) -> Guard {
    Guard::new(&allow.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>()).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What the standard library knows of addresses, as far as it does without its unstable part.
fn std_refuses(v4: Ipv4Addr) -> bool {
    v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_broadcast()
        || v4.is_documentation()
        || v4.is_unspecified()
}

/// An address in one of the networks that are refused.
fn inside() -> impl Strategy<Value = Ipv4Addr> {
    (0..NOT_GLOBAL_V4.len(), any::<u32>()).prop_map(|(n, bits)| {
        let net: ipnet::Ipv4Net = NOT_GLOBAL_V4[n].parse().unwrap();
        Ipv4Addr::from(u32::from(net.network()) | (bits & u32::from(net.hostmask())))
    })
}

/// The ways to say an address of IPv4 in IPv6.
fn ways(v4: Ipv4Addr, rest: u128) -> [Ipv6Addr; 4] {
    let bits = u128::from(u32::from(v4));
    [
        v4.to_ipv6_mapped(),
        Ipv6Addr::from((0x0064_ff9b_u128 << 96) | bits),
        Ipv6Addr::from((0x2002_u128 << 112) | (bits << 80) | (rest >> 48)),
        // The deprecated form, which leads nowhere.
        Ipv6Addr::from(bits),
    ]
}

proptest! {
    #[test]
    fn no_address_inside_gets_through_however_it_is_said(v4 in inside(), rest: u128) {
        prop_assert!(!is_global(v4.into()), "{v4}");
        for v6 in ways(v4, rest) {
            prop_assert!(!is_global(v6.into()), "{v6}");
        }
        for url in [
            format!("https://{v4}/"),
            format!("https://{}/", u32::from(v4)),
            format!("https://{:#x}/", u32::from(v4)),
            format!("https://[{}]/", v4.to_ipv6_mapped()),
            format!("https://[::ffff:{:x}:{:x}]/", u32::from(v4) >> 16, u32::from(v4) & 0xffff),
        ] {
            prop_assert_eq!(guard(&[]).judge_url(&url).unwrap_err(), UrlRefused::Address, "{}", url);
        }
    }

    #[test]
    fn what_the_standard_library_knows_is_refused(bits: u32) {
        let v4 = Ipv4Addr::from(bits);
        prop_assert!(!(std_refuses(v4) && is_global(v4.into())), "{v4}");
    }

    #[test]
    fn a_way_to_ipv4_is_as_good_as_where_it_leads(bits: u32, rest: u128) {
        let v4 = Ipv4Addr::from(bits);
        for v6 in &ways(v4, rest)[..3] {
            prop_assert_eq!(is_global((*v6).into()), is_global(v4.into()), "{} {}", v6, v4);
        }
    }

    #[test]
    fn of_ipv6_only_what_is_handed_out_is_global(bits: u128) {
        let v6 = Ipv6Addr::from(bits);
        let good = is_global(v6.into());
        prop_assert!(!good || embedded(v6).is_some() || v6.segments()[0] >> 13 == 1, "{v6}");
        prop_assert!(!(good && (v6.is_loopback() || v6.is_multicast() || v6.is_unspecified() || v6.is_unique_local()
            || v6.is_unicast_link_local())), "{v6}");
    }

    #[test]
    fn one_bad_address_among_many_is_enough(v4 in inside(), others in proptest::collection::vec(any::<u32>(), 0..5), at: usize) {
        let mut all: Vec<IpAddr> = others.into_iter().map(|bits| Ipv4Addr::from(bits).into()).collect();
        all.insert(at % (all.len() + 1), v4.into());
        prop_assert!(guard(&[]).judge_all("hooks.example.org", &all).is_err());
        prop_assert!(guard(&["hooks.example.org"]).judge_all("HOOKS.example.org.", &all).is_ok());
        prop_assert!(guard(&["hooks.example.org"]).judge_all("hooks.example.org.evil.net", &all).is_err());
    }

    #[test]
    fn an_allowed_network_allows_itself_alone(v4: u32, net: u32, length in 8_u8..=32) {
        let (v4, net) = (Ipv4Addr::from(v4), ipnet::Ipv4Net::new(Ipv4Addr::from(net), length).unwrap().trunc());
        let judged = guard(&[&net.to_string()]).judge("a.example.org", v4.into()).is_ok();
        prop_assert_eq!(judged, is_global(v4.into()) || net.contains(&v4));
        let mapped = guard(&[&net.to_string()]).judge("a.example.org", v4.to_ipv6_mapped().into()).is_ok();
        prop_assert_eq!(mapped, judged);
    }

    #[test]
    fn no_text_as_a_url_is_more_than_refused(text in ".{0,60}") {
        if let Ok(url) = guard(&[]).judge_url(&text) {
            prop_assert_eq!(url.scheme(), "https");
        }
    }
}

#[test]
fn the_tables_are_read_whole() {
    assert_eq!(REFUSED_V4.len(), NOT_GLOBAL_V4.len());
    assert_eq!((GIVEN_V6.len(), REFUSED_V6.len(), WAYS_TO_V4.len()), (1, NOT_GLOBAL_V6.len(), EMBEDDING.len()));
}

#[test]
fn addresses_by_name() {
    for good in
        ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"]
    {
        assert!(is_global(address(good)), "{good}");
    }
    for bad in [
        "127.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "100.100.100.200",
        "169.254.169.254",
        "192.168.1.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::1",
        "3fff::1",
        "5f00::1",
    ] {
        assert!(!is_global(address(bad)), "{bad}");
    }
}

#[test]
fn urls_that_are_none_for_a_webhook() {
    for (url, expected) in [
        ("", UrlRefused::Malformed),
        ("hooks.example.org", UrlRefused::Malformed),
        ("https://", UrlRefused::Malformed),
        ("https://hooks.example.org:0/", UrlRefused::Malformed),
        ("https://a\nb/", UrlRefused::Malformed),
        ("http://hooks.example.org/", UrlRefused::NotHttps),
        ("file:///etc/passwd", UrlRefused::NotHttps),
        ("https://user@hooks.example.org/", UrlRefused::Parts),
        ("https://:word@hooks.example.org/", UrlRefused::Parts),
        ("https://hooks.example.org/#a", UrlRefused::Parts),
        ("https://localhost/", UrlRefused::Address),
        ("https://LOCALHOST./", UrlRefused::Address),
        ("https://a.localhost/", UrlRefused::Address),
        ("https://127.1/", UrlRefused::Address),
        ("https://0177.0.0.1/", UrlRefused::Address),
        ("https://[::1]/", UrlRefused::Address),
    ] {
        assert_eq!(guard(&[]).judge_url(url).unwrap_err(), expected, "{url}");
    }
    assert_eq!(
        guard(&[]).judge_url(&format!("https://a.org/{}", "x".repeat(MAX_URL))).unwrap_err(),
        UrlRefused::Malformed
    );
    for url in ["https://hooks.example.org/cardea?token=a", "https://1.1.1.1:8443/", "https://[2606:4700::1]/"] {
        assert!(guard(&[]).judge_url(url).is_ok(), "{url}");
    }
    let allowed = guard(&["localhost", "127.0.0.0/8", "::1"]);
    for url in ["https://localhost:8443/", "https://127.0.0.2/", "https://[::1]/"] {
        assert!(allowed.judge_url(url).is_ok(), "{url}");
    }
    assert!(allowed.judge_url("https://a.localhost/").is_err());
}

#[test]
fn what_is_neither_host_nor_network_is_named() {
    for entry in ["", "10.0.0.0/33", "a b", "https://a.example.org"] {
        assert_eq!(Guard::new(&[entry.to_owned()]).unwrap_err(), entry);
    }
}
