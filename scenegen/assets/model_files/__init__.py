"""Untrusted model files, before an importer reads them: checked, corrected and identified."""
