"""The calendar server: free time, events, series, and taking changes back."""
