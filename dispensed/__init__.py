"""dispensed: runs the machines of a pharmacy and keeps its perpetual inventory true."""
