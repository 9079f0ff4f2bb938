"""Use cases: one function each; the only place that joins the ledger and the devices."""
