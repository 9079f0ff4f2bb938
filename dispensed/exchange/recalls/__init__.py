"""Recall notices: records of openFDA read, and their free text turned into NDC, lot and expiry."""
