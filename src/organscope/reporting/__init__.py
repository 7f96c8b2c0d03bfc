"""Images and pages made from results only, never from models."""
