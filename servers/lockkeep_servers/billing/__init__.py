"""The billing server: payments and their refunds, invoices of vendors and the orders behind them."""
