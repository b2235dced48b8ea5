package main

func (c *console) signageSettingsRoutes() []route {
	return []route{
		{"GET /settings/signage", admin, c.signagePage},
		{"POST /settings/signage", admin, c.saveSignage},
		{"GET /settings/transfer", admin, c.transferPage},
		{"GET /fragments/settings/transfer", admin, c.transferPage},
		{"GET /settings/transfer/export", admin, c.exportSignage},
		{"POST /settings/transfer/import", admin, c.importSignage},
	}
}
