package main

func (c *console) screenRoutes() []route {
	return []route{
		{"GET /screens", editor, c.screensPage},
		{"GET /fragments/screens", editor, c.screensPage},
		{"POST /screens/show", admin, c.showOnMany},
		{"GET /screens/new", admin, c.newScreenPage},
		{"POST /screens/new", admin, c.newScreen},
		{"GET /screens/pair", admin, c.pairPage},
		{"GET /fragments/screens/pair", admin, c.pairPage},
		{"POST /screens/pair", admin, c.pairScreen},
		{"GET /screens/{id}", editor, c.screenPage},
		{"GET /fragments/screens/{id}", editor, c.screenPage},
		{"GET /screens/{id}/screen.jpg", editor, c.screenPicture},
		{"POST /screens/{id}/identify", editor, c.identifyScreen},
		{"POST /screens/{id}/screenshot", editor, c.askPicture},
		{"POST /screens/{id}", admin, c.editScreen},
		{"POST /screens/{id}/code", admin, c.newScreenCode},
		{"POST /screens/{id}/code/delete", admin, c.dropScreenCode},
		{"POST /screens/{id}/password", admin, c.screenPassword},
		{"POST /screens/{id}/delete", admin, c.dropScreen},
		{"GET /groups", admin, c.groupsPage},
		{"POST /groups", admin, c.newGroup},
		{"GET /groups/{id}", admin, c.groupPage},
		{"POST /groups/{id}", admin, c.editGroup},
		{"POST /groups/{id}/delete", admin, c.dropGroup},
	}
}
