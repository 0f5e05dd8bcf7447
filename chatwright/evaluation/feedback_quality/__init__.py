"""How good feedback is: agreement of raters, gold questions, duplicates, contradictions."""
