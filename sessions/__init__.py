"""Project files: stems on named tracks, for editors that open no scripts."""
