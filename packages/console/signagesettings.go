package main

func (c *console) signageSettingsRoutes() []route {
	return []route{
		{"GET /settings/signage", admin, c.signagePage},
		{"POST /settings/signage", admin, c.saveSignage},
		{"GET /settings/people", admin, c.peoplePage},
		{"POST /settings/people", admin, c.addPerson},
		{"GET /settings/people/{name}", admin, c.personPage},
		{"POST /settings/people/{name}", admin, c.changePerson},
		{"POST /settings/people/{name}/delete", admin, c.dropPerson},
	}
}
