//! What the screening of a head tells the handler of its request: whose key it was, so that no key is hashed twice.

use crate::server::Pass;

/// The screening's word to the handler: under which state it was said, and where in that state's ring the key stands.
pub(super) fn of(number: u32, place: Option<usize>) -> Pass {
    let place = place.and_then(|place| u32::try_from(place + 1).ok()).unwrap_or(0);
    Pass(u64::from(number) << 32 | u64::from(place))
}

/// The key's place, if the state is still the same.
pub(super) fn place(Pass(said): Pass, number: u32) -> Option<usize> {
    if said >> 32 != u64::from(number) {
        return None;
    }
    usize::try_from(said & u64::from(u32::MAX)).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_screening_said_holds_as_long_as_the_state_it_was_said_under() {
        assert_eq!(place(of(7, Some(0)), 7), Some(0));
        assert_eq!(place(of(7, Some(41)), 7), Some(41));
        assert_eq!(place(of(7, Some(41)), 8), None);
        assert_eq!(place(of(7, None), 7), None);
        assert_eq!(place(Pass::default(), 0), None);
    }
}
