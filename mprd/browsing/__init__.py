"""A local page on which a person looks at clusters and puts them right."""
