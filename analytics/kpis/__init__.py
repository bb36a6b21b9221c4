"""Key figures: measured day by day, held against targets, shown with their trend."""
