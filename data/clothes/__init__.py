"""What people wear: the wardrobe, garments, outfits, fabrics, skins."""
