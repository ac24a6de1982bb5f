"""A mean of several models of a finished run: what is lacking of them trained again, and joined in one file."""
