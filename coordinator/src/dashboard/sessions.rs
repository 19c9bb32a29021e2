//! Who is logged in.
//!
//! A browser gets a number of its own in a cookie, never the token: cookies of one machine are sent to
//! every port of it. Sessions are in memory, so a restart of the coordinator ends them.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::HEXLOWER;

use crate::access::tokens::Holder;
use crate::job::Timestamp;

/// Random bytes of a session's number and of what its forms carry.
pub(super) const SECRET_BYTES: usize = 32;
/// How long a session lasts: a working day.
const LASTS: Duration = Duration::from_hours(12);
/// Sessions at the same time. The oldest ends when there is one more.
const MOST: usize = 1024;

/// What a session is found by: the digest of its number, so that looking it up takes no care of time.
pub(super) type SessionKey = blake3::Hash;

/// A person who is logged in.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// Whose token was shown.
    pub(super) holder: Holder,
    /// What every form that changes something must carry.
    pub(super) form_secret: String,
    began: Timestamp,
}

impl Session {
    /// Returns whether a form carries what this session's forms do.
    pub(super) fn has_form_secret(&self, shown: &str) -> bool {
        // Comparing digests takes the same time whatever is shown.
        blake3::hash(shown.as_bytes()) == blake3::hash(self.form_secret.as_bytes())
    }
}

/// The people who are logged in.
#[derive(Debug, Default)]
pub(super) struct Sessions(BTreeMap<[u8; blake3::OUT_LEN], Session>);

impl Sessions {
    /// Begins a session. Returns its number, for the cookie.
    pub(super) fn begin(
        &mut self,
        holder: Holder,
        [number, form_secret]: [[u8; SECRET_BYTES]; 2],
        now: Timestamp,
    ) -> String {
        self.0.retain(|_, session| now.since(session.began) < LASTS);
        if self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, session)| session.began);
            let oldest = oldest.map(|(key, _)| *key);
            oldest.map(|key| self.0.remove(&key));
        }
        let number = HEXLOWER.encode(&number);
        let session = Session {
            holder,
            form_secret: HEXLOWER.encode(&form_secret),
            began: now,
        };
        self.0.insert(*key(&number).as_bytes(), session);
        number
    }

    /// Returns the session with this number, if it has not ended.
    pub(super) fn find(&self, number: &str, now: Timestamp) -> Option<(SessionKey, &Session)> {
        let key = key(number);
        self.get(&key, now).map(|session| (key, session))
    }

    /// Returns a session, if it has not ended.
    pub(super) fn get(&self, key: &SessionKey, now: Timestamp) -> Option<&Session> {
        let session = self.0.get(key.as_bytes())?;
        (now.since(session.began) < LASTS).then_some(session)
    }

    /// Ends a session.
    pub(super) fn end(&mut self, key: &SessionKey) {
        self.0.remove(key.as_bytes());
    }
}

fn key(number: &str) -> SessionKey {
    blake3::hash(number.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;
    use crate::testing::at;

    fn holder(name: &str) -> Holder {
        Holder {
            name: name.to_owned(),
            role: Role::Viewer,
            tenant: None,
        }
    }

    fn secrets(number: u16) -> [[u8; SECRET_BYTES]; 2] {
        let mut secret = [0; SECRET_BYTES];
        secret[..2].copy_from_slice(&number.to_le_bytes());
        [secret, [9; SECRET_BYTES]]
    }

    #[test]
    fn a_session_lasts_until_it_is_ended_or_the_day_is_over() {
        let mut sessions = Sessions::default();
        let number = sessions.begin(holder("ada"), secrets(1), at(0));
        let (key, session) = sessions.find(&number, at(1)).unwrap();
        assert_eq!(session.holder.name, "ada");
        assert!(session.has_form_secret(&"09".repeat(SECRET_BYTES)));
        assert!(!session.has_form_secret("") && !session.has_form_secret(&number));
        assert!(sessions.find("", at(1)).is_none());
        assert!(sessions.find(&"00".repeat(SECRET_BYTES), at(1)).is_none());
        let end = LASTS.as_secs();
        assert!(sessions.get(&key, at(end - 1)).is_some());
        assert!(sessions.get(&key, at(end)).is_none());
        sessions.end(&key);
        assert!(sessions.find(&number, at(1)).is_none());
    }

    #[test]
    fn the_oldest_session_makes_room() {
        let mut sessions = Sessions::default();
        let begin = |sessions: &mut Sessions, number: u16| {
            sessions.begin(holder("ada"), secrets(number), at(number.into()))
        };
        let numbers: Vec<_> = (0..=MOST as u16)
            .map(|number| begin(&mut sessions, number))
            .collect();
        let now = at(MOST as u64);
        assert!(sessions.find(&numbers[0], now).is_none());
        assert!(sessions.find(&numbers[1], now).is_some());
        assert_eq!(sessions.0.len(), MOST);
    }
}
