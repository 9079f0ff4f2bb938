"""Labels as PDF files in a folder, for a site without a label printer."""
