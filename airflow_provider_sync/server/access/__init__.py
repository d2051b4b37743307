"""Who is let in: tokens and what each may see, the addresses that requests count under, and how many requests they may make."""
