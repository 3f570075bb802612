"""Where records come from, and the table every worker reads."""
