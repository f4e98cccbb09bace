"""Which answer wins a vote, and when more votes cannot change it."""
