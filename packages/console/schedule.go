package main

func (c *console) scheduleRoutes() []route {
	return []route{}
}
