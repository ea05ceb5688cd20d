//! Which address a request came from, as far as it can be believed (S-141, THREATS.md G1).

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

use crate::app::accounts::address_key;

/// Hops of `X-Forwarded-For` that are looked at, from the right.
const HOPS_MAX: usize = 32;

/// The client's address: what limits are counted by. `None` when the embedding server did not put the
/// peer's `SocketAddr` into the request's extensions; all such clients share their limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientIp(pub Option<IpAddr>);

impl ClientIp {
    /// Under which name the client's share is counted.
    pub fn bucket(self) -> String {
        address_key(self.0)
    }
}

/// Reverse proxies whose `X-Forwarded-For` is believed. `Forwarded` and `X-Real-IP` never are: one header, one truth.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// These networks.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> TrustedProxies {
        TrustedProxies(networks.into_iter().collect())
    }

    /// The right-most hop that is not a trusted proxy. Of a hop that is no address the one who reported it is taken.
    pub fn client_ip(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> ClientIp {
        let Some(peer) = peer else {
            return ClientIp(None);
        };
        let mut client = peer.ip().to_canonical();
        let hops = headers.get_all("x-forwarded-for").iter().rev();
        let hops = hops.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        for hop in hops.take(HOPS_MAX) {
            if !self.trusts(client) {
                break;
            }
            let Some(ip) = parse_hop(hop.trim()) else { break };
            client = ip;
        }
        ClientIp(Some(client))
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&ip))
    }
}

/// `1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]`, `[::1]:567`.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let unbracketed = hop
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(hop);
    let ip = unbracketed
        .parse::<IpAddr>()
        .or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g1_the_client_is_the_right_most_untrusted_hop() {
        let proxies = TrustedProxies::new(["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()));
        for (peer, forwarded, expected) in [
            ("203.0.113.5:1", vec![], "203.0.113.5"),
            // From a peer that is no proxy the header is only a claim.
            ("203.0.113.5:1", vec!["198.51.100.1"], "203.0.113.5"),
            ("10.0.0.1:1", vec![], "10.0.0.1"),
            ("10.0.0.1:1", vec!["198.51.100.1"], "198.51.100.1"),
            ("[::ffff:10.0.0.1]:1", vec!["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1:1", vec!["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            (
                "10.0.0.1:1",
                vec!["1.1.1.1,198.51.100.1, 10.0.0.2"],
                "198.51.100.1",
            ),
            (
                "10.0.0.1:1",
                vec!["1.1.1.1", "198.51.100.1", "10.0.0.2"],
                "198.51.100.1",
            ),
            ("10.0.0.1:1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1:1", vec!["1.1.1.1, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1:1", vec![""], "10.0.0.1"),
            ("10.0.0.1:1", vec!["198.51.100.1:4711"], "198.51.100.1"),
            ("[fd00::1]:1", vec!["[2001:db8::7]:4711"], "2001:db8::7"),
            ("[fd00::1]:1", vec!["2001:db8::7"], "2001:db8::7"),
        ] {
            let mut headers = HeaderMap::new();
            for line in &forwarded {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            headers.insert("x-real-ip", "192.0.2.66".parse().unwrap());
            headers.insert("forwarded", "for=192.0.2.66".parse().unwrap());
            let client = proxies.client_ip(Some(peer.parse().unwrap()), &headers);
            assert_eq!(
                client,
                ClientIp(Some(expected.parse().unwrap())),
                "{peer} {forwarded:?}"
            );
        }
    }

    #[test]
    fn g1_addresses_of_one_ipv6_network_share_a_bucket() {
        let bucket = |text: &str| ClientIp(Some(text.parse().unwrap())).bucket();
        assert_eq!(bucket("2001:db8:0:1::7"), "2001:db8:0:1::/64");
        assert_eq!(bucket("2001:db8:0:1:ffff::"), "2001:db8:0:1::/64");
        assert_ne!(bucket("2001:db8:0:2::7"), "2001:db8:0:1::/64");
        assert_eq!(bucket("203.0.113.5"), "203.0.113.5");
    }

    #[test]
    fn a_header_of_many_hops_is_read_in_part() {
        let proxies = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "10.0.0.2,".repeat(5000).parse().unwrap());
        let peer = "10.0.0.1:1".parse().unwrap();
        assert_eq!(
            proxies.client_ip(Some(peer), &headers),
            ClientIp(Some("10.0.0.1".parse().unwrap()))
        );
    }
}
