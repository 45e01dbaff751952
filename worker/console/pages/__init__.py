"""One module for each part of the console: it asks rooms, and fills a template."""
