"""The sections of a comparison, a module and a template each."""
