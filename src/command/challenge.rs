//! Nonces that a gateway publishes in its `status` events. A command that repeats one was signed after it was published,
//! whatever the gateway's clock shows.

use std::fmt::Write as _;

/// The nonces that are good now: the latest, and the one before it, since a status event and a command may cross. Each
/// is good for one command. They do not outlive the daemon.
#[derive(Debug, Default)]
pub(super) struct Challenges {
    latest: Option<String>,
    before: Option<String>,
}

impl Challenges {
    /// A new one, to be published. `None` where the operating system has no random numbers.
    pub(super) fn renew(&mut self) -> Option<String> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).ok()?;
        let mut nonce = String::with_capacity(32);
        for byte in bytes {
            let _ = write!(nonce, "{byte:02x}");
        }
        self.before = self.latest.replace(nonce.clone());
        Some(nonce)
    }

    /// Those that are good.
    pub(super) fn good(&self) -> Vec<String> {
        self.latest.iter().chain(&self.before).cloned().collect()
    }

    /// This one has served.
    pub(super) fn spend(&mut self, nonce: &str) {
        for kept in [&mut self.latest, &mut self.before] {
            if kept.as_deref() == Some(nonce) {
                *kept = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_and_until_two_others_have_been_published() {
        let mut challenges = Challenges::default();
        let first = challenges.renew().unwrap();
        let second = challenges.renew().unwrap();
        assert_ne!(first, second);
        assert_eq!(challenges.good(), [second.clone(), first.clone()]);
        challenges.spend(&second);
        assert_eq!(challenges.good(), std::slice::from_ref(&first));
        let third = challenges.renew().unwrap();
        assert_eq!(challenges.good(), [third], "the one before was spent, the first is too old");
        challenges.spend("another");
    }
}
