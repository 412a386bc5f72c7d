"""Who trains: jobs go in, reports and outcomes come out, whatever runs them."""
