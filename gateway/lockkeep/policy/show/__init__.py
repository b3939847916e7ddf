"""The checked rules said to people: listings, sentences, decision tables, differences."""
