"""Effects on stems: chains, racks, remixing, notes, live faders."""
