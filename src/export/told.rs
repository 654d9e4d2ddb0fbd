//! What the log says of a receiver: one line for each change.

/// How a receiver takes what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// All of it.
    Taking,
    /// All but some points.
    Rejecting,
    /// Nothing, and for good.
    Refusing,
    /// It does not answer, or asks for patience.
    Away,
}

/// What was said last of what an endpoint is sent: of what is new, or of what waited.
#[derive(Debug)]
pub(super) struct Told {
    endpoint: String,
    /// What is sent: `new` or `waiting`.
    what: &'static str,
    state: Option<State>,
}

impl Told {
    pub(super) fn new(endpoint: &str, what: &'static str) -> Self {
        Self { endpoint: endpoint.to_owned(), what, state: None }
    }

    /// Says so if it is news: whether it was.
    pub(super) fn tell(&mut self, state: State, why: &str) -> bool {
        if self.state.replace(state) == Some(state) {
            return false;
        }
        let (endpoint, data) = (self.endpoint.as_str(), self.what);
        match state {
            State::Taking => tracing::info!(endpoint, data, "the receiver takes what is pushed"),
            State::Rejecting => tracing::warn!(endpoint, data, why, "the receiver rejects points"),
            State::Refusing => {
                tracing::warn!(endpoint, data, why, "the receiver refuses what is pushed, and it is dropped")
            }
            State::Away => {
                tracing::warn!(endpoint, data, why, "the receiver does not take what is pushed; it is tried again")
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_news_is_told() {
        let mut told = Told::new("default", "new");
        let states = [State::Taking, State::Taking, State::Away, State::Away, State::Taking, State::Refusing];
        assert_eq!(states.map(|state| told.tell(state, "x")), [true, false, true, false, true, true]);
    }
}
