"""Who is let in: tokens and what each may see, the addresses that requests count under, limits of connections."""
