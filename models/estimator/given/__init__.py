"""Bodies that other estimators wrote: read, compared with the person in the view, turned and placed."""
