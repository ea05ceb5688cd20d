//! How many connections there may be, in total and of one address (THREATS.md A2, A3).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

/// Counts connections. Clones count together.
#[derive(Debug, Clone)]
pub struct Admission {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    total_max: usize,
    per_address_max: usize,
    /// Proxies carry many clients over one address.
    uncounted: Vec<IpNet>,
    open: Mutex<Open>,
}

/// The map holds an entry only while its count is above zero, so `total_max` bounds it too.
#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// `CONNECTIONS_MAX` are open.
    Total,
    /// `CONNECTIONS_PER_ADDRESS_MAX` of this address are open.
    Address,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
    address: Option<IpAddr>,
}

impl Admission {
    /// Nothing is open yet.
    pub fn new(total_max: usize, per_address_max: usize, uncounted: Vec<IpNet>) -> Admission {
        Admission {
            shared: Arc::new(Shared {
                total_max,
                per_address_max,
                uncounted,
                open: Mutex::default(),
            }),
        }
    }

    /// A place for a connection from `address`.
    pub fn admit(&self, address: IpAddr) -> Result<Place, Refusal> {
        let address = address.to_canonical();
        let counted = !self
            .shared
            .uncounted
            .iter()
            .any(|network| network.contains(&address));
        let key = counted.then(|| block(address));
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= self.shared.total_max {
            return Err(Refusal::Total);
        }
        if let Some(key) = key {
            let count = open.by_address.entry(key).or_default();
            // At least one place is taken when this refuses, so no empty entry is left behind.
            if *count >= self.shared.per_address_max {
                return Err(Refusal::Address);
            }
            *count += 1;
        }
        open.total += 1;
        drop(open);
        Ok(Place {
            shared: Arc::clone(&self.shared),
            address: key,
        })
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.shared
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .total
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        if let Some(key) = self.address
            && let Some(count) = open.by_address.get_mut(&key)
        {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&key);
            }
        }
    }
}

/// What counts as one address: a customer line has a whole /64 of IPv6 (THREATS.md G1).
fn block(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => {
            let network = u128::from(six) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_bounded_in_total_and_by_address_and_come_back() {
        let admission = Admission::new(4, 2, vec!["10.0.0.0/8".parse().unwrap()]);
        let first = admission.admit(ip("192.0.2.1")).unwrap();
        // The same address, written as IPv6 sockets show it.
        let _second = admission.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(admission.admit(ip("192.0.2.1")).unwrap_err(), Refusal::Address);
        drop(first);
        let _third = admission.admit(ip("192.0.2.1")).unwrap();

        let _proxied = admission.admit(ip("10.1.2.3")).unwrap();
        let _proxied_too = admission.admit(ip("10.1.2.3")).unwrap();
        assert_eq!(admission.open(), 4);
        assert_eq!(admission.admit(ip("10.1.2.3")).unwrap_err(), Refusal::Total);
    }

    #[test]
    fn a_64_is_one_address_and_nothing_is_kept_of_the_departed() {
        let admission = Admission::new(100, 1, Vec::new());
        let place = admission.admit(ip("2001:db8:1:2:3::1")).unwrap();
        assert_eq!(
            admission.admit(ip("2001:db8:1:2:ffff::9")).unwrap_err(),
            Refusal::Address
        );
        let _other = admission.admit(ip("2001:db8:1:3::1")).unwrap();
        drop(place);
        let open = admission.shared.open.lock().unwrap();
        assert_eq!((open.total, open.by_address.len()), (1, 1));
    }
}
