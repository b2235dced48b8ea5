package main

func (c *console) signageSettingsRoutes() []route {
	return []route{}
}
