"""The soak: a server and a whole Airflow work under faults for an hour, and hold in the end what they held at the start."""
