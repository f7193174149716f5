//! Which proxy leads to a destination: a named one, or that of the environment.
//!
//! The rules are those of Go's `golang.org/x/net/http/httpproxy`, which kubectl uses. kube (5.0)
//! compares NO_PROXY with the proxy's own address instead of the cluster's, and rejects common
//! forms of it. No message shows the setting of a proxy, because it may contain a password.

use std::fmt;
use std::net::IpAddr;
use std::{env, iter};

use http::Uri;
use ipnet::IpNet;

/// A proxy that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the proxy from {named_by}: {why}, such as http://proxy.example.com:3128")]
pub struct ProxyError {
    /// Where the proxy comes from.
    named_by: &'static str,
    /// Why it cannot be used.
    why: &'static str,
}

/// The kinds of proxies that a caller can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// `http://` and `https://`.
    Http,
    /// These, and `socks5://`.
    HttpAndSocks,
}

/// Proxies, and the destinations that are exempt from them.
#[derive(Clone, Default)]
pub struct Proxies {
    https: Option<(&'static str, String)>,
    http: Option<(&'static str, String)>,
    none_for: Vec<String>,
}

impl Proxies {
    /// The settings of this process's environment.
    pub fn of_process() -> Self {
        Self::of(|name| env::var(name).ok())
    }

    fn of(read: impl Fn(&'static str) -> Option<String>) -> Self {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| {
                let value = read(name).filter(|value| !value.is_empty())?;
                Some((name, value))
            })
        };
        let none_for = first(["NO_PROXY", "no_proxy"]).map(|(_, list)| list);
        Self {
            https: first(["HTTPS_PROXY", "https_proxy"]),
            http: first(["HTTP_PROXY", "http_proxy"]),
            none_for: none_for.iter().flat_map(|list| entries(list)).collect(),
        }
    }

    /// One proxy, for all destinations except those in the lists, which have the form of NO_PROXY.
    pub fn one(named_by: &'static str, proxy: &str, none_for: &[String]) -> Self {
        let proxy = Some((named_by, proxy.to_owned()));
        Self {
            https: proxy.clone(),
            http: proxy,
            none_for: none_for.iter().flat_map(|list| entries(list)).collect(),
        }
    }

    /// The proxy to a destination, unless the destination is exempt or on the loopback.
    pub fn to(&self, destination: &Uri, kinds: Kinds) -> Result<Option<Uri>, ProxyError> {
        let set = match destination.scheme_str() {
            Some("http") => &self.http,
            _ => &self.https,
        };
        match set {
            Some((name, value)) if !self.exempts(destination) => {
                usable(name, with_scheme(value), kinds).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Checks all proxies, whatever their destinations.
    pub fn check(&self, kinds: Kinds) -> Result<(), ProxyError> {
        let mut set = iter::chain(&self.https, &self.http);
        set.try_for_each(|(name, value)| usable(name, with_scheme(value), kinds).map(drop))
    }

    fn exempts(&self, destination: &Uri) -> bool {
        let host = destination.host().unwrap_or_default().to_lowercase();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<IpAddr> = host.parse().ok();
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        let port = destination
            .port_u16()
            .unwrap_or(match destination.scheme_str() {
                Some("http") => 80,
                _ => 443,
            });
        let mut entries = self.none_for.iter();
        entries.any(|entry| is_exempt_by(entry, host, address, port))
    }
}

/// Shows no proxy, because it may contain a password.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").finish_non_exhaustive()
    }
}

/// The proxy that a setting names for a single destination: it knows no exemption.
pub fn named(named_by: &'static str, proxy: &str) -> Result<Uri, ProxyError> {
    usable(named_by, proxy.parse().ok(), Kinds::HttpAndSocks)
}

fn entries(list: &str) -> impl Iterator<Item = String> {
    list.split(',').map(|entry| entry.trim().to_lowercase())
}

/// Whether one entry of NO_PROXY exempts a host: `*`, an address, a network, or a domain with or
/// without a leading dot or `*.`; the last three also with a port. Any other entry exempts nothing.
fn is_exempt_by(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(network) = entry.parse::<IpNet>() {
        return address.is_some_and(|address| network.contains(&address));
    }
    let (named, of_port) = match entry.rsplit_once(':') {
        // More colons mean an IPv6 address without a port.
        Some((named, of_port)) if !named.contains(':') || named.ends_with(']') => {
            (named, Some(of_port))
        }
        _ => (entry, None),
    };
    let named = named.trim_start_matches('[').trim_end_matches(']');
    if of_port.is_some_and(|of_port| of_port.parse() != Ok(port)) || named.is_empty() {
        return false;
    }
    if let Ok(named) = named.parse::<IpAddr>() {
        return address == Some(named);
    }
    let named = named
        .strip_prefix('*')
        .filter(|rest| rest.starts_with('.'))
        .unwrap_or(named);
    match named.strip_prefix('.') {
        Some(_) => host.ends_with(named),
        None => {
            host == named
                || host
                    .strip_suffix(named)
                    .is_some_and(|rest| rest.ends_with('.'))
        }
    }
}

/// Parses a value of the environment; without a scheme, it is an HTTP proxy.
fn with_scheme(value: &str) -> Option<Uri> {
    let value = match value.contains("://") {
        true => value.to_owned(),
        false => format!("http://{value}"),
    };
    value.parse().ok()
}

fn usable(named_by: &'static str, proxy: Option<Uri>, kinds: Kinds) -> Result<Uri, ProxyError> {
    let error = |why| ProxyError { named_by, why };
    let proxy = proxy.ok_or_else(|| error("it must be a URL"))?;
    let scheme = match (proxy.scheme_str(), kinds) {
        (Some(scheme @ ("http" | "https")), _) => scheme.to_owned(),
        // The proxy resolves names with either of them.
        (Some("socks5" | "socks5h"), Kinds::HttpAndSocks) => "socks5".to_owned(),
        (_, Kinds::HttpAndSocks) => {
            return Err(error(
                "it must be a URL with the scheme http, https or socks5",
            ));
        }
        (_, Kinds::Http) => {
            return Err(error("it must be a URL with the scheme http or https"));
        }
    };
    let has_host = proxy.host().is_some_and(|host| !host.is_empty());
    let authority = proxy.authority().filter(|_| has_host).cloned();
    let authority = authority.ok_or_else(|| error("it must be a URL with a host"))?;
    let rebuilt = Uri::builder()
        .scheme(&*scheme)
        .authority(authority)
        .path_and_query("/");
    rebuilt.build().map_err(|_| error("it must be a URL"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn environment(pairs: &[(&'static str, &str)]) -> Proxies {
        Proxies::of(|name| {
            let found = pairs.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn to(proxies: &Proxies, cluster: &str) -> Result<Option<String>, ProxyError> {
        let proxy = proxies.to(&cluster.parse().unwrap(), Kinds::HttpAndSocks)?;
        Ok(proxy.map(|proxy| proxy.to_string()))
    }

    #[rstest]
    #[case("HTTPS_PROXY", "http://proxy:3128", "http://proxy:3128/")]
    #[case("https_proxy", "http://proxy:3128", "http://proxy:3128/")]
    #[case::without_scheme("HTTPS_PROXY", "proxy:3128", "http://proxy:3128/")]
    #[case::without_scheme_but_credentials(
        "HTTPS_PROXY",
        "u:p@proxy:3128",
        "http://u:p@proxy:3128/"
    )]
    #[case::socks("HTTPS_PROXY", "socks5://u:p@proxy:1080", "socks5://u:p@proxy:1080/")]
    #[case::socks_that_resolves("HTTPS_PROXY", "socks5h://proxy:1080", "socks5://proxy:1080/")]
    fn a_proxy_is_used_as_kubectl_uses_it(
        #[case] name: &'static str,
        #[case] value: &str,
        #[case] proxy: &str,
    ) {
        let found = to(
            &environment(&[(name, value)]),
            "https://api.example.com:6443",
        );
        assert_eq!(found, Ok(Some(proxy.into())));
    }

    #[test]
    fn what_is_no_proxy_for_this_cluster_is_not_used() {
        let http = environment(&[("HTTP_PROXY", "http://proxy:3128")]);
        assert_eq!(to(&http, "https://api.example.com"), Ok(None));
        assert!(to(&http, "http://api.example.com").unwrap().is_some());
        let all = environment(&[("ALL_PROXY", "http://proxy:3128"), ("HTTPS_PROXY", "")]);
        assert_eq!(to(&all, "https://api.example.com"), Ok(None));
    }

    #[rstest]
    #[case("https://localhost:6443")]
    #[case("https://127.0.0.1:6443")]
    #[case("https://127.8.8.8")]
    #[case("https://[::1]:6443")]
    fn a_cluster_on_the_loopback_is_reached_without_one(#[case] cluster: &str) {
        assert_eq!(
            to(
                &environment(&[("HTTPS_PROXY", "http://127.0.0.1:9")]),
                cluster
            ),
            Ok(None)
        );
    }

    #[rstest]
    #[case("example.com", "https://api.example.com:6443", true)]
    #[case("example.com", "https://example.com", true)]
    #[case("example.com", "https://notexample.com", false)]
    #[case(".example.com", "https://api.example.com", true)]
    #[case(".example.com", "https://example.com", false)]
    #[case("*.example.com", "https://api.example.com", true)]
    #[case("API.Example.com", "https://api.example.COM", true)]
    #[case("api.example.com:6443", "https://api.example.com:6443", true)]
    #[case("api.example.com:6443", "https://api.example.com", false)]
    #[case("api.example.com:443", "https://api.example.com", true)]
    #[case("10.0.0.1", "https://10.0.0.1:6443", true)]
    #[case("10.0.0.0/8", "https://10.1.2.3:6443", true)]
    #[case("10.0.0.0/8", "https://11.1.2.3:6443", false)]
    #[case("10.0.0.1:6443", "https://10.0.0.1:6443", true)]
    #[case("fd00::/8", "https://[fd00::1]:6443", true)]
    #[case("fd00::1", "https://[fd00::1]:6443", true)]
    #[case("[fd00::1]:6443", "https://[fd00::1]:6443", true)]
    #[case("*", "https://api.example.com", true)]
    #[case(" , example.org , example.com,", "https://api.example.com", true)]
    #[case::no_network("192.168.0.0/255.255.0.0", "https://192.168.1.1", false)]
    #[case::of_windows("<local>", "https://api", false)]
    #[case::a_path("/var/run/docker.sock", "https://api.example.com", false)]
    #[case::blanks_between("example.com example.org", "https://example.org", false)]
    fn a_cluster_is_exempt_as_for_kubectl(
        #[case] none_for: &str,
        #[case] cluster: &str,
        #[case] exempt: bool,
    ) {
        let set = [("HTTPS_PROXY", "http://proxy:3128"), ("NO_PROXY", none_for)];
        assert_eq!(to(&environment(&set), cluster).unwrap().is_none(), exempt);
    }

    #[rstest]
    #[case("https://my.1password.com", true)]
    #[case("http://my.1password.com", true)]
    #[case("https://op.example.com:8443", false)]
    #[case("https://hooks.example.com", true)]
    #[case("https://chat.example.org", false)]
    #[case("https://127.0.0.1:8443", false)]
    fn a_single_proxy_is_for_all_destinations_that_are_not_exempt(
        #[case] destination: &str,
        #[case] proxied: bool,
    ) {
        let none_for = ["OP.example.com:8443, ,", " .example.org"].map(str::to_owned);
        let one = Proxies::one("--proxy", "proxy:3128", &none_for);
        let found = one.to(&destination.parse().unwrap(), Kinds::Http).unwrap();
        let found = found.map(|proxy| proxy.to_string());
        assert_eq!(found, proxied.then(|| "http://proxy:3128/".to_owned()));
    }

    #[test]
    fn a_socks_proxy_is_refused_where_only_http_is_known() {
        let socks = Proxies::one("--proxy", "socks5://user:s3cret@proxy:1080", &[]);
        assert_eq!(socks.check(Kinds::HttpAndSocks), Ok(()));
        let refusal = socks.check(Kinds::Http).unwrap_err().to_string();
        assert_eq!(
            refusal,
            "cannot use the proxy from --proxy: it must be a URL with the scheme http or https, \
             such as http://proxy.example.com:3128"
        );
        let to_1password = "https://my.1password.com".parse().unwrap();
        assert!(socks.to(&to_1password, Kinds::Http).is_err());
    }

    #[rstest]
    #[case("ftp://user:s3cret@proxy:21")]
    #[case("http://user:s3cret@pro xy")]
    #[case("http://user:s3cret@")]
    fn no_message_shows_a_password(#[case] value: &str) {
        let set = environment(&[("HTTPS_PROXY", value)]);
        let error = to(&set, "https://api.example.com").unwrap_err();
        let told = format!("{error} {error:?} {set:?}");
        assert!(
            told.contains("HTTPS_PROXY") && !told.contains("s3cret"),
            "{told}"
        );
    }
}
