"""What every part of the merchants' API has in common, and no model of the apps is needed for."""
