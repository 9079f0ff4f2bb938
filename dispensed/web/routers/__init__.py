"""One router per group of addresses; handlers hold no rules of the pharmacy."""
