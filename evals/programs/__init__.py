"""Programs as text: where they are in an answer, how they are cut into steps, when two are the same, and what they are
checked against."""
