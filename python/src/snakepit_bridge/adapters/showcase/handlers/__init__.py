"""The showcase's tools by theme; each takes the session context first."""
