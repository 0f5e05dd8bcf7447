"""Small models that users train and look into in the lessons, each user one of their own."""
