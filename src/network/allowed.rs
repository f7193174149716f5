//! Which hosts a connection may lead to if somebody else than the operator's administrator names
//! them: those of the public internet, and those that the settings allow.
//!
//! Without this, anybody who may name a destination could have the operator ask services that only
//! it can reach (server-side request forgery).

use std::net::IpAddr;

use ipnet::IpNet;

use super::address::{Translation, not_public, translation};

/// The hosts and networks that are allowed besides the public internet. None by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    hosts: Vec<HostRule>,
    networks: Vec<IpNet>,
}

/// A host that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum HostRule {
    /// This name.
    Exactly(String),
    /// Every name that ends like this; with its leading dot.
    Below(String),
}

/// The settings are not hosts and networks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowedHostsError {
    /// Not the name of a host.
    #[error(
        "{0:?} is not a host: notifications.allow.hosts has names and addresses without scheme, \
         port and path, such as smtp.example.com, and *.example.com for all names below a domain"
    )]
    Host(String),
    /// Not a network.
    #[error(
        "{0:?} is not a network: notifications.allow.cidrs has networks such as 10.1.0.0/16 and \
         fd00:1::/64"
    )]
    Network(String),
}

/// A destination is not allowed. The sentence says what to set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// All addresses of the host are outside of the public internet.
    #[error(
        "{host} leads to {what}, and only addresses of the public internet are allowed: if this \
         receiver is intended, add {host} to the chart's value notifications.allow.hosts, or its \
         network to notifications.allow.cidrs"
    )]
    Address {
        /// The host.
        host: String,
        /// What the first of its addresses is. The address itself is not told: it would show
        /// people who may name hosts what is inside of the network.
        what: &'static str,
    },
    /// The host would be resolved by a proxy.
    #[error(
        "{host} is reached through a proxy, which resolves the name itself, so Keyloan cannot check \
         the address: if this receiver is intended, add {host} to the chart's value \
         notifications.allow.hosts"
    )]
    ByProxy {
        /// The host.
        host: String,
    },
}

impl AllowedHosts {
    /// Parses the settings.
    pub fn parse(hosts: &[String], networks: &[String]) -> Result<Self, AllowedHostsError> {
        let hosts = hosts.iter().map(|host| HostRule::parse(host));
        let networks = networks.iter().map(|text| {
            let network = text.trim().parse();
            network.map_err(|_| AllowedHostsError::Network(text.clone()))
        });
        Ok(Self {
            hosts: hosts.collect::<Result<_, _>>()?,
            networks: networks.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the settings name this host. Then its addresses do not matter.
    pub(super) fn name(&self, host: &str) -> bool {
        let host = canonical(host);
        self.hosts.iter().any(|rule| match rule {
            HostRule::Exactly(name) => *name == host,
            HostRule::Below(domain) => host.len() > domain.len() && host.ends_with(domain),
        })
    }

    /// Whether a connection through a proxy may lead to this host.
    pub(super) fn permit_by_proxy(&self, host: &str) -> Result<(), NotAllowed> {
        match self.name(host) {
            true => Ok(()),
            false => Err(NotAllowed::ByProxy {
                host: canonical(host),
            }),
        }
    }

    /// Whether a connection may lead to this address of this host.
    pub(super) fn permit(&self, host: &str, address: IpAddr) -> Result<(), NotAllowed> {
        if self.name(host) {
            return Ok(());
        }
        match self.refusal(address) {
            None => Ok(()),
            Some(what) => Err(NotAllowed::Address {
                host: canonical(host),
                what,
            }),
        }
    }

    /// What an address is that is not allowed. A NAT64 network that the settings allow gives access
    /// to no more than what is allowed behind it, as a gateway with this very prefix translates.
    fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        let what = not_public(address)?;
        let address = address.to_canonical();
        let listed = self.networks.iter();
        let listed = listed.filter(|network| network.contains(&address));
        let refusals = listed.map(|network| match translation(address, network.prefix_len()) {
            Translation::None => None,
            Translation::To(behind) => self.refusal(behind),
            Translation::Unknown => Some(what),
        });
        refusals.reduce(Option::and).unwrap_or(Some(what))
    }
}

impl HostRule {
    fn parse(text: &str) -> Result<Self, AllowedHostsError> {
        let host = canonical(text.trim());
        let (name, is_domain) = match host.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (&*host, false),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_address = name.parse::<IpAddr>().is_ok();
        let is_host = !name.is_empty() && !name.starts_with('.') && name.chars().all(is_name);
        match is_domain {
            true if is_host && !is_address => Ok(Self::Below(format!(".{name}"))),
            false if is_host || is_address => Ok(Self::Exactly(host)),
            _ => Err(AllowedHostsError::Host(text.to_owned())),
        }
    }
}

/// A host in the form in which hosts are compared: in lower case, without the root's dot and
/// without brackets.
fn canonical(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn allowed(hosts: &[&str], networks: &[&str]) -> AllowedHosts {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        AllowedHosts::parse(&owned(hosts), &owned(networks)).unwrap()
    }

    #[rstest]
    #[case::public(&[], &[], "hooks.example.com", "9.9.9.9", true)]
    #[case::private(&[], &[], "hooks.example.com", "10.1.2.3", false)]
    #[case::the_host_is_named(&["relay.corp"], &[], "relay.corp", "10.1.2.3", true)]
    #[case::in_another_spelling(&["Relay.Corp."], &[], "RELAY.corp", "10.1.2.3", true)]
    #[case::with_the_dot_of_the_root(&["relay.corp"], &[], "relay.corp.", "10.1.2.3", true)]
    #[case::another_host(&["relay.corp"], &[], "xrelay.corp", "10.1.2.3", false)]
    #[case::below_a_host(&["relay.corp"], &[], "a.relay.corp", "10.1.2.3", false)]
    #[case::below_a_domain(&["*.corp"], &[], "a.relay.corp", "10.1.2.3", true)]
    #[case::the_domain_itself(&["*.corp"], &[], "corp", "10.1.2.3", false)]
    #[case::the_end_of_a_label(&["*.corp"], &[], "megacorp", "10.1.2.3", false)]
    #[case::an_address_is_named(&["10.1.2.3"], &[], "10.1.2.3", "10.1.2.3", true)]
    #[case::another_address(&["10.1.2.3"], &[], "10.1.2.4", "10.1.2.4", false)]
    #[case::in_brackets(&["fd00::1"], &[], "[fd00::1]", "fd00::1", true)]
    #[case::in_a_network(&[], &["10.1.0.0/16"], "relay.corp", "10.1.2.3", true)]
    #[case::outside_of_the_network(&[], &["10.1.0.0/16"], "relay.corp", "10.2.2.3", false)]
    #[case::mapped(&[], &["10.1.0.0/16"], "relay.corp", "::ffff:10.1.2.3", true)]
    #[case::mapped_outside(&[], &["10.1.0.0/16"], "relay.corp", "::ffff:10.2.2.3", false)]
    #[case::six(&[], &["fd00:1::/32"], "relay.corp", "fd00:1::9", true)]
    #[case::nat64(&[], &["64:ff9b::/96"], "hooks.example.com", "64:ff9b::9.9.9.9", true)]
    #[case::private_behind_nat64(&[], &["64:ff9b::/96"], "hooks.example.com", "64:ff9b::10.1.2.3", false)]
    #[case::allowed_behind_nat64(&[], &["64:ff9b::/96", "10.1.2.3/32"], "relay.corp", "64:ff9b::10.1.2.3", true)]
    #[case::local_nat64(&[], &["64:ff9b:1::/96"], "hooks.example.com", "64:ff9b:1::9.9.9.9", true)]
    #[case::private_behind_local_nat64(&[], &["64:ff9b:1::/96"], "hooks.example.com", "64:ff9b:1::10.1.2.3", false)]
    #[case::allowed_behind_local_nat64(&[], &["64:ff9b:1::/96", "10.1.2.3/32"], "relay.corp", "64:ff9b:1::10.1.2.3", true)]
    #[case::behind_a_shorter_prefix(&[], &["64:ff9b:1::/48"], "hooks.example.com", "64:ff9b:1:a01:2:300::", false)]
    #[case::public_behind_a_shorter_prefix(&[], &["64:ff9b:1::/48"], "hooks.example.com", "64:ff9b:1:909:9:900::", true)]
    #[case::no_gateways_prefix(&[], &["64:ff9b::/32"], "hooks.example.com", "64:ff9b:1::9.9.9.9", false)]
    #[case::azures_platform(&[], &[], "hooks.example.com", "168.63.129.16", false)]
    #[case::the_metadata_service(&[], &["10.0.0.0/8"], "metadata", "169.254.169.254", false)]
    fn an_address_is_allowed_if_it_is_public_or_named(
        #[case] hosts: &[&str],
        #[case] networks: &[&str],
        #[case] host: &str,
        #[case] address: &str,
        #[case] is_allowed: bool,
    ) {
        let permitted = allowed(hosts, networks).permit(host, address.parse().unwrap());
        assert_eq!(permitted.is_ok(), is_allowed, "{permitted:?}");
    }

    #[test]
    fn through_a_proxy_only_named_hosts_are_allowed() {
        let allowed = allowed(&["hooks.slack.com"], &["0.0.0.0/0"]);
        assert_eq!(allowed.permit_by_proxy("hooks.slack.com"), Ok(()));
        let refusal = allowed.permit_by_proxy("example.com").unwrap_err();
        insta::assert_snapshot!(refusal, @"example.com is reached through a proxy, which resolves the name itself, so Keyloan cannot check the address: if this receiver is intended, add example.com to the chart's value notifications.allow.hosts");
    }

    #[test]
    fn a_refusal_says_what_to_set() {
        let refusal = allowed(&[], &[]).permit("Relay.corp.", "10.1.2.3".parse().unwrap());
        insta::assert_snapshot!(refusal.unwrap_err(), @"relay.corp leads to a private address, and only addresses of the public internet are allowed: if this receiver is intended, add relay.corp to the chart's value notifications.allow.hosts, or its network to notifications.allow.cidrs");
    }

    #[rstest]
    #[case::url("https://relay.corp")]
    #[case::port("relay.corp:25")]
    #[case::path("relay.corp/x")]
    #[case::star("*")]
    #[case::stars("*.*.corp")]
    #[case::inner("a.*.corp")]
    #[case::below_an_address("*.10.1.2.3")]
    #[case::empty(" ")]
    #[case::network("10.0.0.0/8")]
    fn what_is_no_host_is_refused(#[case] host: &str) {
        let refused = AllowedHosts::parse(&[host.to_owned()], &[]);
        assert_eq!(refused, Err(AllowedHostsError::Host(host.to_owned())));
    }

    #[rstest]
    #[case("relay.corp")]
    #[case("10.0.0.0/33")]
    #[case("10.0.0.0")]
    fn what_is_no_network_is_refused(#[case] network: &str) {
        let refused = AllowedHosts::parse(&[], &[network.to_owned()]);
        assert_eq!(refused, Err(AllowedHostsError::Network(network.to_owned())));
    }
}
