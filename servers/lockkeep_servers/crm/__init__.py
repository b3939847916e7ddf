"""The CRM server: leads, contacts, companies, deals and who owns them."""
